/** Files by URL: fetched, with range requests for parts. */
import { FileError } from '../../errors.ts';
import type { FileSource } from '../contract.ts';
import { sourceOf } from './files.ts';

export async function request(path: string, init?: RequestInit): Promise<Response> {
  return fetch(path, init).catch((cause: unknown) => {
    throw new FileError(`cannot fetch '${path}'`, { remedy: 'check the address and the network', cause });
  });
}

/** Single-page servers answer with their page if a file is not there. No file of a model is a page. */
const isPage = ({ headers }: Response): boolean =>
  /^(text\/html|application\/xhtml\+xml)\b/i.test(headers.get('content-type') ?? '');

const noFile = (path: string): FileError =>
  new FileError(`'${path}' is not there: the server answered with a page in its place`, {
    remedy: 'check the address, and whether the server has the file',
  });

async function fetchFile(path: string, init?: RequestInit): Promise<Response> {
  const response = await request(path, init);
  if (!response.ok) throw new FileError(`cannot fetch '${path}': HTTP ${response.status}`);
  if (isPage(response)) throw noFile(path);
  return response;
}

export async function exists(path: string): Promise<boolean> {
  const response = await request(path, { method: 'HEAD' });
  return response.ok && !isPage(response);
}

export async function readText(path: string): Promise<string> {
  const text = await (await fetchFile(path)).text();
  // Not every server tells the type.
  if (/^\s*<(!doctype html|html)\b/i.test(text.slice(0, 200))) throw noFile(path);
  return text;
}

/** The bytes of a file; null if the server does not tell, as one that compresses does not. */
function sizeTold({ headers }: Response): number | null {
  const told = headers.get('content-length');
  const packed = (headers.get('content-encoding') ?? 'identity') !== 'identity';
  return told === null || packed || !/^\d+$/.test(told) ? null : Number(told);
}

export async function openFile(path: string): Promise<FileSource> {
  const head = await fetchFile(path, { method: 'HEAD' });
  const size = sizeTold(head);
  if (size === null) return sourceOf(path, await (await fetchFile(path)).blob());
  return {
    path,
    size,
    read: async (offset, length) => {
      if (length === 0) return new Uint8Array(0);
      const response = await fetchFile(path, {
        headers: { range: `bytes=${offset}-${offset + length - 1}` },
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      // A server that does not support ranges sends the whole file.
      const part = response.status === 206 ? bytes : bytes.subarray(offset, offset + length);
      if (part.length !== length)
        throw new FileError(`'${path}' ends early: ${part.length} of ${length} bytes from ${offset}`);
      return part;
    },
    close: async () => {},
  };
}
