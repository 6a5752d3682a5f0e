/**
 * Replaces functions of a loaded driver, in memory. RADV without hardware compiles, but crashes as soon as
 * commands are recorded: there is nothing to record them into. Dawn records some when it opens a device.
 * With those functions replaced by ones that do nothing, Dawn runs on that driver as on a card, and nothing
 * is executed.
 *
 * x86-64 and Linux only.
 */
import koffi from 'koffi';
import type { Pointer, Vulkan } from './vulkan.ts';

/** What Dawn calls to record and submit, and to be rid of what was recorded. */
const COMMANDS = [
  'vkDestroyCommandPool',
  'vkDestroyDevice',
  'vkFreeCommandBuffers',
  'vkBeginCommandBuffer',
  'vkEndCommandBuffer',
  'vkResetCommandBuffer',
  'vkResetCommandPool',
  'vkQueueSubmit',
  'vkQueueWaitIdle',
  'vkDeviceWaitIdle',
  'vkWaitForFences',
  'vkGetFenceStatus',
  'vkCmdCopyBuffer',
  'vkCmdFillBuffer',
  'vkCmdPipelineBarrier',
];

const PAGE = 4096n;
const READ_WRITE_EXECUTE = 7;
/** VK_ERROR_UNKNOWN. */
const ERROR_UNKNOWN = -13;
const CAPTURE_STATISTICS_AND_TEXTS = 0x40 | 0x80;

/** xor eax, eax; ret: returns VK_SUCCESS, whatever the arguments. */
const RETURN_SUCCESS = Uint8Array.of(0x31, 0xc0, 0xc3);

/** mov rax, target; jmp rax. */
function jumpTo(target: Pointer): Uint8Array {
  const code = new Uint8Array([0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0]);
  new DataView(code.buffer).setBigUint64(2, target, true);
  return code;
}

/** Writes `code` over the function at `address`; gives a function that writes any code of that length there. */
function overwrite(
  address: Pointer,
  code: Uint8Array,
): { write(code: Uint8Array): void; before: Uint8Array } {
  const protect = koffi.load('libc.so.6').func('int mprotect(uintptr_t, size_t, int)');
  const start = (address / PAGE) * PAGE;
  const end = address + BigInt(code.length);
  if (protect(start, Number(end - start), READ_WRITE_EXECUTE) !== 0)
    throw new Error('this system does not let a process change code that is loaded');
  const memory = new Uint8Array(koffi.view(address, code.length));
  const before = memory.slice();
  memory.set(code);
  return { write: (other) => memory.set(other), before };
}

/** From now on the driver records and submits nothing. */
export function withoutCommands(vulkan: Vulkan): void {
  const { arch, platform } = process;
  if (arch !== 'x64' || platform !== 'linux')
    throw new Error(`x86-64 and Linux only, not ${arch} ${platform}`);
  for (const name of COMMANDS) {
    const address = vulkan.address(name);
    if (address !== undefined) overwrite(address, RETURN_SUCCESS);
  }
}

/** Calls `made` with each compute pipeline that anyone makes from now on, compiled so that it can be described. */
export function watchPipelines(vulkan: Vulkan, made: (device: Pointer, pipeline: Pointer) => void): void {
  const address = vulkan.address('vkCreateComputePipelines')!;
  const type = koffi.proto('int', [
    'uintptr_t',
    'uint64_t',
    'uint32_t',
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
  ]);
  const watched = (...args: (number | bigint)[]): number => {
    const [device, , , info, , pipeline] = args.map(BigInt);
    const flags = new Uint32Array(koffi.view(info! + 16n, 4));
    flags[0]! |= CAPTURE_STATISTICS_AND_TEXTS;
    function_.write(function_.before);
    try {
      const result = koffi.call(address, type, ...args) as number;
      if (result === 0) made(device!, new BigUint64Array(koffi.view(pipeline!, 8))[0]!);
      return result;
    } catch (error) {
      // An exception cannot pass through Dawn.
      console.error(error);
      return ERROR_UNKNOWN;
    } finally {
      function_.write(jump);
    }
  };
  const jump = jumpTo(koffi.register(watched, koffi.pointer(type)));
  const function_ = overwrite(address, jump);
}
