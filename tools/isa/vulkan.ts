/**
 * The few Vulkan calls that the tool makes itself, through koffi: opening a device for the addresses of the
 * driver's functions, and asking what the driver's compiler made of a pipeline
 * (VK_KHR_pipeline_executable_properties).
 *
 * Structs are written byte by byte at the offsets that Vulkan's C headers give them on a 64-bit machine.
 */
import koffi from 'koffi';

/** A handle, or the address of a function or of memory. */
export type Pointer = bigint;

/** What the compiler made of one pipeline. */
export interface CompiledPipeline {
  /** Invocations of a subgroup. */
  subgroupSize: number;
  /** By the driver's own names: 'VGPRs', 'Spilled VGPRs', 'Subgroups per SIMD', … */
  statistics: Record<string, number>;
  /** The machine code as text. */
  disassembly: string;
}

const API_VERSION_1_3 = (1 << 22) | (3 << 12);
const EXECUTABLE_PROPERTIES = 'VK_KHR_pipeline_executable_properties';

/** Bytes of a struct; numbers are stored in 32 bits, bigints in 64. */
function struct(bytes: number, fields: Readonly<Record<number, number | bigint>>): Buffer {
  const made = Buffer.alloc(bytes);
  for (const [offset, value] of Object.entries(fields)) {
    if (typeof value === 'bigint') made.writeBigUInt64LE(value, Number(offset));
    else made.writeUInt32LE(value, Number(offset));
  }
  return made;
}

const addressOf = (buffer: Buffer): Pointer => BigInt(koffi.address(buffer));

/** Text that ends at its first zero byte. */
function textAt(buffer: Buffer, from: number, bytes: number): string {
  const room = buffer.subarray(from, from + bytes);
  const end = room.indexOf(0);
  return room.toString('utf8', 0, end < 0 ? bytes : end);
}

function check(name: string, result: number): void {
  if (result < 0) throw new Error(`${name} failed with ${result}`);
}

/** The structs that a function lists, by size and type. */
const lists = {
  Properties: { name: 'vkGetPipelineExecutablePropertiesKHR', bytes: 536, sType: 1_000_269_002 },
  Statistics: { name: 'vkGetPipelineExecutableStatisticsKHR', bytes: 544, sType: 1_000_269_004 },
  Texts: { name: 'vkGetPipelineExecutableInternalRepresentationsKHR', bytes: 552, sType: 1_000_269_005 },
} as const;

/** A device of the one driver that the environment names (`VK_DRIVER_FILES`). */
export class Vulkan {
  private readonly device: Pointer;
  private readonly procedure: (device: Pointer, name: string) => number | bigint;

  /** Throws where there is no Vulkan loader, or no driver that opens a device. */
  constructor() {
    const library = koffi.load('libvulkan.so.1');
    this.procedure = library.func('uintptr_t vkGetDeviceProcAddr(uintptr_t, const char *)');
    const createInstance = library.func('int vkCreateInstance(void *, void *, void *)');
    const listDevices = library.func('int vkEnumeratePhysicalDevices(uintptr_t, void *, void *)');
    const createDevice = library.func('int vkCreateDevice(uintptr_t, void *, void *, void *)');

    const handle = Buffer.alloc(8);
    const application = struct(48, { 0: 0, 44: API_VERSION_1_3 });
    const instance = struct(64, { 0: 1, 24: addressOf(application) });
    check('vkCreateInstance', createInstance(instance, null, handle));
    const count = struct(4, { 0: 1 });
    check('vkEnumeratePhysicalDevices', listDevices(handle.readBigUInt64LE(), count, handle));
    if (count.readUInt32LE() === 0) throw new Error('the driver lists no device');

    const extension = Buffer.from(`${EXECUTABLE_PROPERTIES}\0`);
    const extensions = struct(8, { 0: addressOf(extension) });
    const priority = Buffer.from(Float32Array.of(1).buffer);
    const queue = struct(40, { 0: 2, 24: 1, 32: addressOf(priority) });
    const device = struct(72, { 0: 3, 20: 1, 24: addressOf(queue), 48: 1, 56: addressOf(extensions) });
    check('vkCreateDevice', createDevice(handle.readBigUInt64LE(), device, null, handle));
    this.device = handle.readBigUInt64LE();
  }

  /** The address of one of the driver's functions; undefined where it has none of that name. */
  address(name: string): Pointer | undefined {
    const found = BigInt(this.procedure(this.device, name));
    return found === 0n ? undefined : found;
  }

  /**
   * What became of `pipeline`, which was made with the flags that capture it. `device` is the one that made
   * it.
   */
  describe(device: Pointer, pipeline: Pointer): CompiledPipeline {
    const statistics: Record<string, number> = {};
    for (const one of this.list('Statistics', device, pipeline)) {
      const real = one.readUInt32LE(528) === 3;
      statistics[textAt(one, 16, 256)] = real ? one.readDoubleLE(536) : Number(one.readBigInt64LE(536));
    }
    const subgroupSize = this.list('Properties', device, pipeline)[0]!.readUInt32LE(532);
    return { subgroupSize, statistics, disassembly: this.disassembly(device, pipeline) };
  }

  private disassembly(device: Pointer, pipeline: Pointer): string {
    const rooms = this.list('Texts', device, pipeline).map((one) =>
      Buffer.alloc(Number(one.readBigUInt64LE(536)) + 1),
    );
    const filled = this.list('Texts', device, pipeline, (one, i) => {
      one.writeBigUInt64LE(BigInt(rooms[i]!.length), 536);
      one.writeBigUInt64LE(addressOf(rooms[i]!), 544);
    });
    const at = filled.findIndex((one) => textAt(one, 16, 256) === 'Assembly');
    if (at < 0) throw new Error('the driver gives no machine code as text');
    return textAt(rooms[at]!, 0, rooms[at]!.length);
  }

  /** Calls one of `lists`: once for the number of structs, once for the structs. */
  private list(
    which: keyof typeof lists,
    device: Pointer,
    pipeline: Pointer,
    prepare: (one: Buffer, index: number) => void = () => {},
  ): Buffer[] {
    const { name, bytes, sType } = lists[which];
    const address = this.address(name);
    if (address === undefined) throw new Error(`the driver has no ${name}`);
    const type = koffi.proto('int', ['uintptr_t', 'void *', 'void *', 'void *']);
    const query = (count: Buffer, out: Buffer | null): void =>
      check(name, koffi.call(address, type, device, subject, count, out));
    const subject = struct(32, { 0: which === 'Properties' ? 1_000_269_001 : 1_000_269_003, 16: pipeline });
    const count = Buffer.alloc(4);
    query(count, null);
    const all = Buffer.alloc(bytes * count.readUInt32LE());
    const out = Array.from({ length: count.readUInt32LE() }, (_, i) =>
      all.subarray(i * bytes, (i + 1) * bytes),
    );
    for (const [i, one] of out.entries()) {
      one.writeUInt32LE(sType);
      prepare(one, i);
    }
    query(count, all);
    return out;
  }
}
