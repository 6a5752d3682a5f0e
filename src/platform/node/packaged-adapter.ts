/**
 * The software Vulkan driver that npm brings: SwiftShader, from `@sparticuz/chromium`'s `bin/swiftshader.tar.br`
 * (the driver, its ICD file and a Vulkan loader), unpacked once into the cache folder.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { cacheFolder } from './cache.ts';

const ARCHIVE = 'swiftshader.tar.br';
const ICD = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
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

/** Unpacks the driver where that was not done yet; returns its folder, or null where there is no package. */
async function unpack(): Promise<string | null> {
  const archive = archivePath();
  if (archive === null) return null;
  const info = await stat(archive).catch(() => null);
  if (info === null) return null;
  const target = join(await cacheFolder(), `swiftshader-${info.size}`);
  if ((await stat(join(target, ICD)).catch(() => null)) !== null) return target;
  // Two processes may unpack at once: each into its own folder, and the first rename wins.
  const staging = `${target}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await mkdir(staging, { recursive: true });
  const { extract } = await import('tar-fs');
  await pipeline(createReadStream(archive), createBrotliDecompress(), extract(staging));
  const icd = JSON.parse(await readFile(join(staging, ICD), 'utf8')) as { ICD: { library_path: string } };
  icd.ICD.library_path = join(target, 'libvk_swiftshader.so');
  await writeFile(join(staging, ICD), JSON.stringify(icd));
  await rename(staging, target).catch(async () => rm(staging, { recursive: true, force: true }));
  return target;
}

/**
 * Points the Vulkan loader at the packaged driver, and brings a loader where the system has none. Returns false where the package is not
 * there. Must run before Dawn opens Vulkan.
 */
export async function usePackagedDriver(): Promise<boolean> {
  const folder = await unpack();
  if (folder === null) return false;
  process.env.VK_ICD_FILENAMES = join(folder, ICD);
  process.env.VK_DRIVER_FILES = join(folder, ICD);
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, join(folder, LOADER), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // Node complains that the library is no addon of its own; it is mapped all the same, which is what Dawn needs.
  }
  return true;
}
