/** Pushing models to the hub. */
import { platform } from '#platform';
import { ConfigError, FileError } from '../../errors.ts';
import { checkOptions, type OptionNames } from '../../options.ts';
import type { FolderWriter, HubFile, PushAccess } from '../../platform/contract.ts';

export interface PushOptions extends PushAccess {
  /** Whether a new repository is private. Default: as the account or organization has it. */
  private?: boolean;
  /** Default: `Upload` and what is pushed. */
  commitMessage?: string;
}

export interface Pushed {
  /** The model's page. */
  url: string;
  /** The hash of the commit. */
  commit: string;
}

const optionNames: OptionNames<PushOptions> = {
  private: true,
  commitMessage: true,
  token: true,
  hubUrl: true,
};

/** The rules of huggingface_hub for names of repositories. */
function checkName(id: string): void {
  const [owner, name, ...more] = id.includes('/') ? id.split('/') : ['owner', id];
  const legal = (part: string | undefined): boolean =>
    part !== undefined && /^[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?$/.test(part) && !/--|\.\.|\.git$/.test(part);
  if (more.length === 0 && legal(owner) && legal(name) && id.length <= 96) return;
  throw new ConfigError(`'${id}' cannot be the name of a model on the hub`, {
    remedy: 'write owner/name of letters, digits, -, _ and ., up to 96 in all',
  });
}

/**
 * The full id that a push would go to; without an owner, the account is it. Throws `ConfigError` for a name
 * that the hub does not take, without a token, and for one that may not write there, `FileError` if the hub
 * does not know it.
 */
export async function pushTarget(id: string, options: PushAccess = {}): Promise<string> {
  checkName(id);
  const { token, hubUrl } = options;
  const { name, orgs, mayWrite } = await platform.hubAccount({
    ...(token !== undefined && { token }),
    ...(hubUrl !== undefined && { hubUrl }),
  });
  const remedy = 'use a token with the role write';
  if (!mayWrite) throw new ConfigError(`the token of '${name}' may only read`, { remedy });
  const [owner, model] = id.includes('/') ? id.split('/') : [name, id];
  if (owner !== name && !orgs.includes(owner!))
    throw new ConfigError(`the token is of '${name}', who is no member of '${owner}'`, {
      remedy: `push to ${[name, ...orgs].map((one) => `${one}/${model}`).join(' or ')}`,
    });
  return `${owner}/${model}`;
}

async function push(
  id: string,
  files: readonly HubFile[],
  what: string,
  options: PushOptions,
): Promise<Pushed> {
  checkOptions('pushToHub', options, optionNames);
  const { private: isPrivate, commitMessage = `Upload ${what}`, ...access } = options;
  const target = await pushTarget(id, access);
  return platform.upload(target, {
    files,
    title: commitMessage,
    ...(isPrivate !== undefined && { isPrivate }),
    ...access,
  });
}

/** @internal Pushes what `write` writes, without a folder. */
export async function pushWritten(
  id: string,
  what: string,
  write: (folder: FolderWriter) => Promise<void>,
  options: PushOptions = {},
): Promise<Pushed> {
  const files: HubFile[] = [];
  await write({
    writeText: async (path, text) => void files.push({ path, content: new Blob([text]) }),
    async writeFile(path, body) {
      const parts: BlobPart[] = [];
      await body({ write: async (bytes) => void parts.push(bytes.slice()) });
      files.push({ path, content: new Blob(parts) });
    },
  });
  return push(id, files, what, options);
}

/** Checkpoints of a training, and hidden or unfinished files, stay at home. */
const stays = (name: string): boolean => name.startsWith('.') || /^checkpoint-\d+$/.test(name);

async function filesIn(folder: string, inside = ''): Promise<HubFile[]> {
  const files: HubFile[] = [];
  for (const name of (await platform.list(folder)).filter((one) => !stays(one))) {
    const content = platform.joinPath(folder, name);
    if (await platform.isFolder(content)) files.push(...(await filesIn(content, `${inside}${name}/`)));
    else files.push({ path: `${inside}${name}`, content });
  }
  return files;
}

/**
 * Pushes a model's folder to the hub as one commit, without checkpoints of a training; a repository that is
 * not there is made. Throws as `pushTarget` does, and `FileError` for a folder that holds no model.
 */
export async function pushFolder(folder: string, id: string, options: PushOptions = {}): Promise<Pushed> {
  if (!(await platform.isFolder(folder)))
    throw new FileError(`model folder '${folder}' does not exist`, { remedy: 'check the path' });
  const files = await filesIn(folder);
  if (!files.some(({ path }) => path === 'config.json'))
    throw new FileError(`'${folder}' holds no model: config.json is missing`, {
      remedy: 'name the folder that a training or savePretrained wrote',
    });
  return push(id, files, 'model', options);
}
