/** Reads the environment variables of Python's huggingface_hub; an empty variable counts as unset. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The hub settings taken from environment variables. */
export interface HubEnvironment {
  /** The folder for downloads. */
  cache: string;
  /** The file in which a login from Python saves its token. */
  tokenPath: string;
  /** From HF_TOKEN or HUGGING_FACE_HUB_TOKEN. */
  token: string | undefined;
  /** Whether to send the token without being asked to. */
  implicitToken: boolean;
  offline: boolean;
  /** Whether snapshot files may be links to the blobs. */
  symlinks: boolean;
  endpoint: string | undefined;
}

/** Another user's home folder, or undefined if there is no such user. */
function homeOf(user: string): string | undefined {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((text) => text.startsWith(`${user}:`));
    return line?.split(':')[5] || undefined;
  } catch {
    return undefined;
  }
}

/** Expands `~`, `~user`, `$NAME` and `${NAME}` as os.path does; unknown names stay unchanged. */
export function expandPath(path: string, env: Environment = process.env): string {
  const tilde = /^~([^/\\]*)/.exec(path);
  const home = tilde === null ? undefined : tilde[1] === '' ? (env.HOME ?? homedir()) : homeOf(tilde[1]!);
  const open =
    home === undefined ? path : `${home.replace(/\/+$/, '')}${path.slice(tilde![0].length)}` || '/';
  return open.replace(
    /\$(?:([A-Za-z0-9_]+)|\{([^}]*)\})/g,
    (whole, name: string, braced: string) => env[name ?? braced] ?? whole,
  );
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '');

/** See the table in docs/environment.md. */
export function hubEnvironment(env: Environment = process.env): HubEnvironment {
  const cacheHome = env.XDG_CACHE_HOME || join(expandPath('~', env), '.cache');
  const home = expandPath(env.HF_HOME || join(cacheHome, 'huggingface'), env);
  const token = (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN)?.replaceAll(/[\r\n]/g, '').trim();
  return {
    cache: expandPath(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub'), env),
    tokenPath: expandPath(env.HF_TOKEN_PATH || join(home, 'token'), env),
    token: token || undefined,
    implicitToken: !isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    symlinks: !isTrue(env.HF_HUB_DISABLE_SYMLINKS),
    endpoint: env.HF_ENDPOINT?.replace(/\/+$/, '') || undefined,
  };
}
