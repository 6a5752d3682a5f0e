/** A local server that answers the few requests that the hub gets for a model. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRequest {
  method: string;
  path: string;
  authorization: string | undefined;
}

export interface HubServer {
  url: string;
  requests: HubRequest[];
  close(): Promise<void>;
}

export interface HubModel {
  /** The commit at the head of `main`. */
  sha: string;
  files: Record<string, Uint8Array>;
  /** The token required for a private model. */
  token?: string;
  /** Files whose download breaks off after half their bytes. */
  cut?: readonly string[];
}

const hash = (bytes: Uint8Array | string, algorithm = 'sha256') =>
  createHash(algorithm).update(bytes).digest('hex');

/** Like the hub, stores larger files separately under their sha256. */
const LARGE = 1000;

function pathInfo(path: string, bytes: Uint8Array) {
  const large = bytes.length > LARGE && { lfs: { oid: hash(bytes), size: bytes.length, pointerSize: 130 } };
  // As on the hub, a file's last commit is older than the head and differs from file to file.
  const lastCommit = { id: hash(path, 'sha1'), title: `add ${path}`, date: '2024-01-01T00:00:00.000Z' };
  return { type: 'file', path, size: bytes.length, oid: hash(bytes, 'sha1'), ...large, lastCommit };
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<{ paths: string[] }> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text) as { paths: string[] };
}

function sendFile(request: IncomingMessage, response: ServerResponse, model: HubModel, path: string): void {
  const bytes = model.files[path];
  if (bytes === undefined) {
    json(response, 404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' });
    return;
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [start, end] =
    range === null ? [0, bytes.length] : [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
  response.writeHead(range === null ? 200 : 206, {
    etag: `"${hash(bytes)}"`,
    'content-length': end - start,
    ...(range !== null && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  if (request.method === 'HEAD') response.end();
  else if (range === null && model.cut?.includes(path)) {
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  } else response.end(bytes.subarray(start, end));
}

async function answer(
  models: Record<string, HubModel>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url!, 'http://hub');
  const route = /^(?:\/api\/models)?\/(.+?)\/(revision|paths-info|resolve|raw)\/([^/]+)\/?(.*)$/.exec(
    pathname,
  );
  const [, id = '', action, revision = '', path = ''] = route ?? [];
  const model = models[id];
  if (model === undefined)
    return json(response, 404, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' });
  if (model.token !== undefined && request.headers.authorization !== `Bearer ${model.token}`) {
    return json(response, 401, { error: 'Access to this model is restricted' });
  }
  if (!['main', model.sha].includes(revision))
    return json(response, 404, { error: `Invalid rev id: ${revision}` });
  if (action === 'revision') {
    const sizes = new URL(request.url!, 'http://hub').searchParams.get('blobs') === 'true';
    const siblings = Object.entries(model.files).map(([rfilename, { length: size }]) => {
      return { rfilename, ...(sizes && { size }) };
    });
    return json(response, 200, {
      _id: '1',
      id,
      sha: model.sha,
      siblings,
      lastModified: '2024-01-01T00:00:00.000Z',
    });
  }
  if (action === 'paths-info') {
    const { paths } = await bodyOf(request);
    return json(
      response,
      200,
      paths.filter((name) => name in model.files).map((name) => pathInfo(name, model.files[name]!)),
    );
  }
  sendFile(request, response, model, path);
}

export async function startHub(models: Record<string, HubModel>): Promise<HubServer> {
  const requests: HubRequest[] = [];
  const server = createServer((request, response) => {
    requests.push({
      method: request.method!,
      path: request.url!.split('?')[0]!,
      authorization: request.headers.authorization,
    });
    answer(models, request, response).catch((error: unknown) =>
      json(response, 500, { error: String(error) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
