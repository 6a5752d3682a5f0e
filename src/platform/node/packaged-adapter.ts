/**
 * Loads the software Vulkan driver that npm installs: SwiftShader, from `bin/swiftshader.tar.br` in
 * `@sparticuz/chromium` (driver, ICD file and Vulkan loader), unpacked once into the cache folder.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { NoAdapterError } from '../../errors.ts';
import { cacheFolder, isOurs } from './cache.ts';
import { exists } from './files.ts';
import { discard, sweepEntries, temporaryPath } from './temporary.ts';

const ARCHIVE = 'swiftshader.tar.br';
const ICD = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
const DRIVER = 'libvk_swiftshader.so';
/** SHA-256 of the libraries in the version pinned by package.json; update these with the version. */
const FILES: ReadonlyMap<string, string> = new Map([
  [DRIVER, '5b9e8591c7c2d1c9618c3ad485d0cdffb81f5f1ffd6a982fdb6578c2d8d3213e'],
  [LOADER, 'fe17a77c1f2df38d3b6a935140f746fd80aac564bb44eb3e4f6b75a504295a41'],
]);
/** Not among Node's constants: keeps the library mapped after Node closes it. */
const RTLD_NODELETE = 0x1000;

/** The archive's path, or null if the optional package is not installed or does not support this machine. */
function archivePath(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  try {
    const require = createRequire(import.meta.url);
    // The package's main file is beside or below its `bin` folder.
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

/** Whether a folder holds the libraries exactly as packaged and nobody else could have changed them. */
async function isIntact(folder: string): Promise<boolean> {
  for (const path of [folder, ...[...FILES.keys(), ICD].map((name) => join(folder, name))])
    if (!(await isOurs(path))) return false;
  for (const [name, hash] of FILES) if ((await hashOf(join(folder, name))) !== hash) return false;
  return (await readFile(join(folder, ICD), 'utf8')) === icdText(folder);
}

/** The ICD file, which tells the Vulkan loader the driver's path. */
function icdText(folder: string): string {
  return JSON.stringify({
    file_format_version: '1.0.0',
    ICD: { library_path: join(folder, DRIVER), api_version: '1.0.5' },
  });
}

/** Unpacks the driver unless an intact copy exists. Returns its folder; null if it is not installed. */
async function driverFolder(): Promise<string | null> {
  const archive = archivePath();
  if (archive === null || !(await exists(archive))) return null;
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
  await sweepEntries(cache, (other) => other === name);
  // Two processes may unpack at once: each uses its own folder, and the first rename wins.
  const staging = temporaryPath(cache, name, 'tmp');
  try {
    await mkdir(staging, { mode: 0o700 });
    const { extract } = await import('tar-fs');
    const options = {
      // The owner and modes in the archive are those of another machine.
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
    { remedy: "install '@sparticuz/chromium' as package.json names it, or a Vulkan driver" },
  );
}

/** Sets environment variables and returns a function that restores them. */
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
 * Runs `open`, which opens Vulkan and requests adapters, with the Vulkan loader pointed at the packaged
 * driver; loads the packaged Vulkan loader too. Restores the environment afterwards, so that the next request
 * sees the system's drivers. Returns null if the package is not installed. Throws `NoAdapterError` if its
 * files may not be loaded.
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
      // Node complains that the library is not an addon, but maps it, which is all that Dawn needs.
    }
    return await open();
  } finally {
    restore();
  }
}
