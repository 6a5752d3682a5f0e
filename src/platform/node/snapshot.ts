/** Files of a repository in the cache: blobs, and snapshots made of links to them. */
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { FileError } from '../../errors.ts';
import type { HubOptions } from '../contract.ts';
import { hubEnvironment } from './environment.ts';
import { exists } from './files.ts';
import type { HubAccess, RepoType } from './hub-access.ts';
import { discard, sweepEntries, temporaryPath } from './temporary.ts';

/** A repository at one commit. */
export interface Commit {
  type: RepoType;
  id: string;
  sha: string;
  /** Its folder in the cache. */
  repo: string;
}

export const snapshotOf = ({ repo, sha }: Pick<Commit, 'repo' | 'sha'>): string =>
  join(repo, 'snapshots', sha);

/** Downloads files into the snapshot, unless they are there. */
export async function fetchFiles(
  commit: Commit,
  paths: readonly string[],
  access: HubAccess,
  onProgress: HubOptions['onProgress'],
): Promise<void> {
  const { type, id, sha, repo } = commit;
  const snapshot = snapshotOf(commit);
  const absent: string[] = [];
  for (const path of paths) if (!(await exists(join(snapshot, path)))) absent.push(path);
  if (absent.length === 0) return;
  const hub = await import('@huggingface/hub');
  const common = { repo: { type, name: id }, revision: sha, ...access };
  const infos = new Map((await hub.pathsInfo({ ...common, paths: absent })).map((info) => [info.path, info]));
  const { symlinks } = hubEnvironment();
  for (const path of absent) {
    const info = infos.get(path);
    const etag = info?.lfs?.oid ?? info?.oid;
    const blob = etag === undefined ? null : join(repo, 'blobs', etag);
    if (info === undefined || blob === null) throw new FileError(`'${id}' has no ${path} on the hub`);
    if (!(await exists(blob)))
      await saveBlob(id, blob, info, () => hub.downloadFile({ ...common, path }), onProgress);
    await link(blob, join(snapshot, path), symlinks);
  }
}

/** Notes which commit a branch has. */
export async function saveRef(revision: string, { repo, sha }: Commit): Promise<void> {
  if (revision !== sha) await whole(join(repo, 'refs', revision), (path) => writeFile(path, sha));
}

/** Streams a file into the blobs; it gets its final name only once complete. */
async function saveBlob(
  id: string,
  path: string,
  { path: file, size: totalBytes }: { path: string; size: number },
  open: () => Promise<Blob | null>,
  onProgress: HubOptions['onProgress'],
): Promise<void> {
  const content = await open();
  if (content === null) throw new FileError(`'${id}' has no ${file} on the hub`);
  await sweepEntries(dirname(path), () => true);
  let loadedBytes = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      loadedBytes += chunk.byteLength;
      onProgress?.({ file, loadedBytes, totalBytes });
      yield chunk;
    }
  }
  try {
    await whole(path, async (temporary) => {
      await pipeline(
        Readable.fromWeb(content.stream() as ReadableStream<Uint8Array>),
        count,
        createWriteStream(temporary),
      );
      if (loadedBytes !== totalBytes) throw new Error(`${loadedBytes} of ${totalBytes} bytes came`);
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(`'${file}' of '${id}' could not be downloaded whole: ${reason}`, {
      remedy: 'try again',
      cause,
    });
  }
}

/** Makes a relative link, as Python does, or a copy if links are disabled or unsupported. */
async function link(blob: string, path: string, symlinks: boolean): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const copy = (): Promise<void> => whole(path, (temporary) => copyFile(blob, temporary));
  if (!symlinks) return copy();
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await copy();
  }
}

/** Gives a file its final name only once complete, because a file with its name is not downloaded again. */
export async function whole(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryPath(dirname(path), basename(path), 'tmp');
  try {
    await mkdir(dirname(path), { recursive: true });
    await write(temporary);
    await rename(temporary, path);
  } finally {
    await discard(temporary);
  }
}
