/**
 * A local server that answers the few requests that the hub gets for models and data sets, and takes uploads.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRequest {
  method: string;
  path: string;
  authorization: string | undefined;
}

/** A data set; `branches` by revision. */
export interface HubDataset {
  branches: Record<string, { sha: string; files: Record<string, Uint8Array> }>;
  /** The YAML of its card. */
  card?: unknown;
  /** The token without which files are refused. */
  gatedBy?: string;
}

/** What was uploaded. */
export interface Uploaded {
  isPrivate: boolean;
  /** Those that git keeps, and those of its large file storage. */
  files: Record<string, Uint8Array>;
  commits: string[];
}

/** Who may upload, and what the server then does. */
export interface HubUser {
  name: string;
  orgs: readonly string[];
  token: string;
  role: 'read' | 'write';
  /** Refuses commits, as a hub that is ill does. */
  fails?: boolean;
}

export interface HubServer {
  url: string;
  requests: HubRequest[];
  /** By id. */
  uploaded: Record<string, Uploaded>;
  close(): Promise<void>;
}

export interface HubModel {
  /** The commit at the head of `main`. */
  sha: string;
  files: Record<string, Uint8Array>;
  /** The token required for a private model. */
  token?: string;
  /** The token without which files are refused; anybody may list them. */
  gatedBy?: string;
  /** Files whose download breaks off after half their bytes. */
  cut?: readonly string[];
}

const hash = (bytes: Uint8Array | string, algorithm = 'sha256') =>
  createHash(algorithm).update(bytes).digest('hex');

/** The hub's answers for pages of other sites. */
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, range',
  'access-control-expose-headers': 'X-Error-Code, ETag, Content-Range',
};

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

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of request) parts.push(chunk as Buffer);
  return Buffer.concat(parts);
}

async function bodyOf<T = { paths: string[] }>(request: IncomingMessage): Promise<T> {
  return JSON.parse(String(await bytesOf(request))) as T;
}

function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  model: Pick<HubModel, 'files' | 'cut'>,
  path: string,
): void {
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
  if (model.gatedBy !== undefined && request.headers.authorization !== `Bearer ${model.gatedBy}`)
    return json(
      response,
      request.headers.authorization === undefined ? 401 : 403,
      { error: `Access to model ${id} is restricted. Visit its page to ask for access.` },
      { 'x-error-code': 'GatedRepo' },
    );
  sendFile(request, response, model, path);
}

async function answerDataset(
  datasets: Record<string, HubDataset>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url!, 'http://hub');
  const route = /^(?:\/api)?\/datasets\/(.+?)\/(revision|tree|paths-info|resolve)\/([^/]+)\/?(.*)$/.exec(
    pathname,
  );
  const [, id = '', action, revision = '', path = ''] = route ?? [];
  const dataset = datasets[id];
  if (dataset === undefined)
    return json(response, 401, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' });
  const name = decodeURIComponent(revision);
  const branch = dataset.branches[name] ?? Object.values(dataset.branches).find(({ sha }) => sha === name);
  if (branch === undefined) return json(response, 404, { error: `Invalid rev id: ${name}` });
  if (action === 'revision')
    return json(response, 200, { _id: '1', id, sha: branch.sha, cardData: dataset.card });
  const infos = Object.entries(branch.files).map(([file, bytes]) => pathInfo(file, bytes));
  if (action === 'tree') {
    // Two pages, to be followed by their links.
    const rest = new URL(request.url!, 'http://hub').searchParams.has('cursor');
    const next = `<http://${request.headers.host}${request.url}&cursor=2>; rel="next"`;
    const folder = { type: 'directory', path: 'data', size: 0, oid: '0' };
    return rest
      ? json(response, 200, infos.slice(1))
      : json(response, 200, [folder, ...infos.slice(0, 1)], infos.length > 1 ? { link: next } : {});
  }
  if (action === 'paths-info') {
    const { paths } = await bodyOf(request);
    return json(
      response,
      200,
      infos.filter((info) => paths.includes(info.path)),
    );
  }
  if (dataset.gatedBy !== undefined && request.headers.authorization !== `Bearer ${dataset.gatedBy}`)
    return json(
      response,
      403,
      { error: `Access to dataset ${id} is restricted. Visit its page to ask for access.` },
      { 'x-error-code': 'GatedRepo' },
    );
  sendFile(request, response, branch, path);
}

/** Answers requests of an upload; false for another. */
async function takeUpload(
  { uploaded }: HubServer,
  user: HubUser,
  request: IncomingMessage,
  response: ServerResponse,
  storage: Map<string, Buffer>,
): Promise<boolean> {
  const { pathname } = new URL(request.url!, 'http://hub');
  const stored = /^\/storage\/(\w+)$/.exec(pathname)?.[1];
  if (stored !== undefined) {
    storage.set(stored, await bytesOf(request));
    response.writeHead(200).end();
    return true;
  }
  const create = pathname === '/api/repos/create';
  const [, id, action] =
    /^\/(?:api\/models\/)?(.+?)(\/preupload\/main|\/commit\/main|\.git\/info\/lfs\/objects\/batch)$/.exec(
      pathname,
    ) ?? [];
  if (pathname !== '/api/whoami-v2' && !create && action === undefined) return false;
  if (request.headers.authorization !== `Bearer ${user.token}`) {
    json(response, 401, { error: 'Invalid username or password.' });
  } else if (pathname === '/api/whoami-v2') {
    const orgs = user.orgs.map((name) => ({ type: 'org', id: name, name, fullname: name }));
    json(response, 200, {
      type: 'user',
      id: '1',
      name: user.name,
      orgs,
      auth: { type: 'access_token', accessToken: { displayName: 'test', role: user.role } },
    });
  } else if (create) {
    const { name, organization, visibility } = await bodyOf<Record<string, string>>(request);
    const full = `${organization}/${name}`;
    if (user.role === 'read') json(response, 403, { error: 'You need a token with write access' });
    else if (uploaded[full] !== undefined)
      json(response, 409, { error: 'You already created this model repo' });
    else {
      uploaded[full] = { isPrivate: visibility === 'private', files: {}, commits: [] };
      json(response, 200, { url: `http://hub/${full}`, id: full });
    }
  } else if (action === '/preupload/main') {
    const { files } = await bodyOf<{ files: { path: string; size: number }[] }>(request);
    const modes = files.map(({ path, size }) => ({ path, uploadMode: size > LARGE ? 'lfs' : 'regular' }));
    json(response, 200, { files: modes });
  } else if (action === '/commit/main') {
    const lines = String(await bytesOf(request))
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, string> });
    if (user.fails === true) {
      json(response, 500, { error: 'ill' });
      return true;
    }
    const repo = uploaded[id!]!;
    for (const { key, value } of lines) {
      if (key === 'header') repo.commits.push(value.summary!);
      else
        repo.files[value.path!] =
          key === 'lfsFile' ? storage.get(value.oid!)! : Buffer.from(value.content!, 'base64');
    }
    json(response, 200, { commitOid: 'c'.repeat(40), commitUrl: `http://hub/${id}/commit/1` });
  } else {
    const { objects } = await bodyOf<{ objects: { oid: string; size: number }[] }>(request);
    json(response, 200, {
      transfer: 'basic',
      objects: objects.map(({ oid, size }) => ({
        oid,
        size,
        actions: { upload: { href: `http://${request.headers.host}/storage/${oid}` } },
      })),
    });
  }
  return true;
}

export async function startHub(
  models: Record<string, HubModel>,
  datasets: Record<string, HubDataset> = {},
  user: HubUser | null = null,
): Promise<HubServer> {
  const requests: HubRequest[] = [];
  const storage = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    requests.push({
      method: request.method!,
      path: request.url!.split('?')[0]!,
      authorization: request.headers.authorization,
    });
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    const answered = async (): Promise<void> => {
      if (request.method === 'OPTIONS') return void response.writeHead(204).end();
      if (user !== null && (await takeUpload(hub, user, request, response, storage))) return;
      if (/^(\/api)?\/datasets\//.test(request.url!)) return answerDataset(datasets, request, response);
      return answer(models, request, response);
    };
    answered().catch((error: unknown) => json(response, 500, { error: String(error) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hub: HubServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    uploaded: {},
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return hub;
}
