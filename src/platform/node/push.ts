/** Uploads to the hub. */
import { pathToFileURL } from 'node:url';
import { ConfigError, FileError } from '../../errors.ts';
import type { HubAccount, HubUpload, PushAccess } from '../contract.ts';
import { hubEnvironment } from './environment.ts';
import { type HubAccess, hubAccess } from './hub-access.ts';

async function accessOf(what: string, options: PushAccess): Promise<HubAccess & { accessToken: string }> {
  if (hubEnvironment().offline)
    throw new ConfigError(`${what} the hub is switched off`, {
      remedy: 'leave HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE unset',
    });
  const { accessToken, ...access } = await hubAccess(what, options);
  if (accessToken === undefined)
    throw new ConfigError(`${what} there is no token of the hub`, {
      remedy: 'set HF_TOKEN to one that may write, or pass --hub-token (token)',
    });
  if (!accessToken.startsWith('hf_'))
    throw new ConfigError(`${what} the token of the hub does not begin with 'hf_'`, {
      remedy: 'copy it whole from the settings of your account',
    });
  return { ...access, accessToken };
}

/** See `Platform.hubAccount`. */
export async function hubAccount(options: PushAccess): Promise<HubAccount> {
  const { whoAmI } = await import('@huggingface/hub');
  const access = await accessOf('push:', options);
  try {
    const found = await whoAmI(access);
    const orgs = 'orgs' in found ? found.orgs.map(({ name }) => name) : [];
    return { name: found.name, orgs, mayWrite: found.auth.accessToken?.role !== 'read' };
  } catch (error) {
    throw refusal(
      'the token of the hub is not valid',
      error,
      'make a new one in the settings of your account',
    );
  }
}

/** See `Platform.upload`. */
export async function upload(id: string, { files, title, isPrivate, ...options }: HubUpload) {
  const hub = await import('@huggingface/hub');
  const access = await accessOf(`push to '${id}':`, options);
  const repo = { type: 'model' as const, name: id };
  try {
    const visibility =
      isPrivate === undefined ? {} : { visibility: isPrivate ? ('private' as const) : ('public' as const) };
    await hub.createRepo({ repo, ...visibility, ...access }).catch((error: { statusCode?: number }) => {
      // It is there already.
      if (error.statusCode !== 409) throw error;
    });
    const done = await hub.uploadFiles({
      repo,
      commitTitle: title,
      files: files.map(({ path, content }) => ({
        path,
        content: typeof content === 'string' ? pathToFileURL(content) : content,
      })),
      ...access,
    });
    return { url: `${access.hubUrl}/${id}`, commit: done!.commit.oid };
  } catch (error) {
    throw refusal(`'${id}' could not be pushed`, error, 'try again');
  }
}

/** What the hub says, as an error of ours. */
function refusal(what: string, error: unknown, remedy: string): unknown {
  if (!(error instanceof Error) || error instanceof FileError) return error;
  return new FileError(`${what}: ${error.message.replace(/\.? URL: .*$/s, '')}`, { remedy, cause: error });
}
