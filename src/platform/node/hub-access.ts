/**
 * How the hub is reached: its address, the token, a fetch whose errors name it, and the folder for downloads.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../errors.ts';
import type { HubOptions } from '../contract.ts';
import { expandPath, type HubEnvironment, hubEnvironment } from './environment.ts';

export type RepoType = 'model' | 'dataset';

/** The hub did not answer, or answered with a server error; cached files may still serve. */
export class HubUnreachable extends FileError {}

/** The token given, else the one from the environment, else the one saved by a login from Python. */
async function accessToken(options: HubOptions, hub: HubEnvironment): Promise<string | undefined> {
  if (options.token) return options.token;
  if (!hub.implicitToken) return undefined;
  if (hub.token !== undefined) return hub.token;
  const saved = await readFile(hub.tokenPath, 'utf8').catch(() => '');
  return saved.replaceAll(/[\r\n]/g, '').trim() || undefined;
}

export interface HubAccess {
  hubUrl: string;
  fetch: typeof fetch;
  accessToken?: string;
}

/** `what` is named by errors, and `remedy` follows the advice to check the network. */
export async function hubAccess(what: string, options: HubOptions, remedy = ''): Promise<HubAccess> {
  const { HUB_URL } = await import('@huggingface/hub');
  const environment = hubEnvironment();
  const hubUrl = (options.hubUrl || environment.endpoint || HUB_URL).replace(/\/+$/, '');
  const token = await accessToken(options, environment);
  return {
    hubUrl,
    fetch: hubFetch(what, hubUrl, remedy),
    ...(token !== undefined && { accessToken: token }),
  };
}

function hubFetch(what: string, hubUrl: string, remedy: string): typeof fetch {
  const unreachable = (reason: string, cause?: unknown) =>
    new HubUnreachable(`${what} the hub at ${hubUrl} cannot be reached: ${reason}`, {
      remedy: `check the network${remedy}`,
      cause,
    });
  return async (input, init) => {
    const response = await fetch(input, init).catch((error: Error) => {
      // fetch says only that it failed; the reason is in the cause.
      throw unreachable(error.cause instanceof Error ? error.cause.message : error.message, error);
    });
    if (response.status >= 500) throw unreachable(`HTTP ${response.status}`);
    return response;
  };
}

/** The folder of a repository in the cache, and whether only the cache may be used. */
export function cachedRepo(type: RepoType, id: string, options: HubOptions) {
  const environment = hubEnvironment();
  const cacheDir = options.cacheDir === undefined ? environment.cache : expandPath(options.cacheDir);
  return {
    cacheDir,
    repo: join(cacheDir, `${type}s--${id.replaceAll('/', '--')}`),
    offline: options.localFilesOnly ?? environment.offline,
  };
}

const COMMIT = /^[0-9a-f]{40}$/;

export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** The commit that a revision had when it was downloaded. */
export async function cachedCommit(repo: string, revision: string): Promise<string> {
  const commit = await readFile(join(repo, 'refs', revision), 'utf8').catch(() => revision);
  return commit.trim();
}
