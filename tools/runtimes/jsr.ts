/**
 * The package as JSR has it: `deno publish` sends its sources, in which it has rewritten imports, to a registry. A
 * stand-in registry on this machine keeps what is sent, so that it can be run.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Ended, execute } from './shell.ts';

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** The answers that `deno publish` needs: the version is not there yet, the package is, the version is accepted. */
async function answer(
  request: IncomingMessage,
  keep: (tarball: Uint8Array) => void,
): Promise<{ status: number; json: object }> {
  const body = await bodyOf(request);
  const ofVersion = request.url!.includes('/versions/');
  if (request.method === 'POST' && ofVersion) {
    keep(body);
    return { status: 200, json: { id: '1', status: 'success' } };
  }
  return ofVersion
    ? { status: 404, json: { code: 'packageVersionNotFound', message: 'not there' } }
    : { status: 200, json: {} };
}

/** What JSR's command line and Deno's say to a publication that is only tried. */
export async function dryRun(deno: string, root: string): Promise<Ended> {
  const flags = ['publish', '--dry-run', '--allow-dirty', '--allow-slow-types'];
  const tried = await execute(deno, [...flags, '--no-check'], { cwd: root });
  if (tried.code !== 0) return tried;
  const env = { DENO_BIN_PATH: deno };
  return execute('npx', ['--yes', 'jsr', ...flags, '--no-check'], { cwd: root, env });
}

/** Publishes to the stand-in registry, and unpacks what it got into `folder`, with an import map for programs. */
export async function publishInto(deno: string, root: string, folder: string): Promise<Ended> {
  let tarball: Uint8Array = new Uint8Array();
  const server = createServer((request, response) => {
    void answer(request, (bytes) => {
      tarball = bytes;
    }).then(({ status, json }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const flags = ['--allow-dirty', '--allow-slow-types', '--no-check', '--no-provenance', '--token', 'none'];
  const sent = await execute(deno, ['publish', ...flags], { cwd: root, env: { JSR_URL: url } });
  server.close();
  if (sent.code !== 0) return sent;
  const unpacked = join(folder, 'published');
  mkdirSync(unpacked);
  writeFileSync(join(folder, 'published.tgz'), tarball);
  const imports = { dawngrad: './published/src/index.ts' };
  writeFileSync(join(folder, 'imports.json'), JSON.stringify({ imports }));
  return execute('tar', ['-xzf', 'published.tgz', '-C', 'published'], { cwd: folder });
}
