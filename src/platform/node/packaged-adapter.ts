/**
 * The software Vulkan driver that npm brings: SwiftShader, from `@sparticuz/chromium`'s
 * `bin/swiftshader.tar.br` (the driver, its ICD file and a Vulkan loader), unpacked once into the cache
 * folder.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { NoAdapterError } from '../../errors.ts';
import { cacheFolder, isOurs } from './cache.ts';
import { discard, sweep, temporaryPath } from './temporary.ts';

const ARCHIVE = 'swiftshader.tar.br';
const ICD = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
const DRIVER = 'libvk_swiftshader.so';
/**
 * SHA-256 of what is loaded, for the version that package.json pins; another one wants other numbers here.
 */
const FILES: ReadonlyMap<string, string> = new Map([
  [DRIVER, '5b9e8591c7c2d1c9618c3ad485d0cdffb81f5f1ffd6a982fdb6578c2d8d3213e'],
  [LOADER, 'fe17a77c1f2df38d3b6a935140f746fd80aac564bb44eb3e4f6b75a504295a41'],
]);
/** Not among Node's constants: the library stays mapped although Node closes it. */
const RTLD_NODELETE = 0x1000;

/** The archive's path, or null where the optional package is not installed or does not fit this machine. */
function archivePath(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  try {
    const require = createRequire(import.meta.url);
    // The package's main file lies beside or below its `bin` folder.
    let folder = dirname(require.resolve('@sparticuz/chromium'));
    while (!folder.endsWith('chromium') && folder !== dirname(folder)) folder = dirname(folder);
    return join(folder, 'bin', ARCHIVE);
  } catch {
    return null;
  }
}

async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/**
 * Whether a folder holds the libraries as they came in the package, and nobody else could have changed them.
 */
async function isIntact(folder: string): Promise<boolean> {
  for (const path of [folder, ...[...FILES.keys(), ICD].map((name) => join(folder, name))])
    if (!(await isOurs(path))) return false;
  for (const [name, hash] of FILES) if ((await hashOf(join(folder, name))) !== hash) return false;
  return (await readFile(join(folder, ICD), 'utf8')) === icdText(folder);
}

/** What the Vulkan loader reads: where the driver lies. */
function icdText(folder: string): string {
  return JSON.stringify({
    file_format_version: '1.0.0',
    ICD: { library_path: join(folder, DRIVER), api_version: '1.0.5' },
  });
}

/**
 * Unpacks the driver where that was not done yet, or what is there is not whole; returns its folder, or null
 * where there is no package.
 */
async function driverFolder(): Promise<string | null> {
  const archive = archivePath();
  if (archive === null || (await stat(archive).catch(() => null)) === null) return null;
  try {
    return await unpack(archive);
  } catch (cause) {
    if (cause instanceof NoAdapterError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoAdapterError(`the packaged software adapter cannot be unpacked: ${reason}`, {
      remedy: 'make room in the cache folder (XDG_CACHE_HOME), or install a Vulkan driver',
      cause,
    });
  }
}

async function unpack(archive: string): Promise<string> {
  const cache = await cacheFolder();
  const name = `swiftshader-${FILES.get(DRIVER)!.slice(0, 16)}`;
  const target = join(cache, name);
  if (await isIntact(target)) return target;
  await sweep(cache, (other) => other === name);
  // Two processes may unpack at once: each into its own folder, and the first rename wins.
  const staging = temporaryPath(cache, name, 'tmp');
  try {
    await mkdir(staging, { mode: 0o700 });
    const { extract } = await import('tar-fs');
    const options = {
      // The archive names an owner and modes, which are another machine's.
      chown: false,
      umask: 0o077,
      ignore: (path: string) => path !== staging && !FILES.has(basename(path)),
    };
    await pipeline(createReadStream(archive), createBrotliDecompress(), extract(staging, options));
    for (const file of FILES.keys()) await chmod(join(staging, file), 0o500);
    await writeFile(join(staging, ICD), icdText(target), { mode: 0o600 });
    if (!(await isIntact(target))) await rm(target, { recursive: true, force: true });
    await rename(staging, target).catch(() => {});
  } finally {
    await discard(staging);
  }
  if (await isIntact(target)) return target;
  throw new NoAdapterError(
    `the packaged software adapter in '${archive}' is not the one this version is made for`,
    {
      remedy: "install '@sparticuz/chromium' as package.json names it, or a Vulkan driver",
    },
  );
}

/** Sets or removes environment variables; returns what puts them back. */
function setEnvironment(values: Readonly<Record<string, string>>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}

/**
 * Runs `open`, which opens Vulkan and asks it for adapters, with the Vulkan loader pointed at the packaged
 * driver, and brings a loader where the system has none. The environment is afterwards as it was, so that the
 * next request sees the system's drivers. Null where the package is not there. Throws `NoAdapterError` where
 * what is there may not be loaded.
 */
export async function withPackagedDriver<T>(open: () => Promise<T>): Promise<T | null> {
  const folder = await driverFolder();
  if (folder === null) return null;
  const icd = join(folder, ICD);
  const restore = setEnvironment({ VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd });
  try {
    const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
    try {
      process.dlopen({ exports: {} }, join(folder, LOADER), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    } catch {
      // Node complains that the library is no addon of its own; it is mapped all the same, which is what Dawn
      // needs.
    }
    return await open();
  } finally {
    restore();
  }
}
