/**
 * The interface between the engine and its host (Node, Deno, a browser). Each host implements `Platform`; the
 * import `#platform` selects one.
 */

/** A file read by range. Only the requested ranges are held in memory. */
export interface FileSource {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Reads exactly `length` bytes at `offset`; throws `FileError` if the file is shorter. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file written sequentially. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** A folder under construction. Names are relative to it and may contain subfolders ('a/b.json'). */
export interface FolderWriter {
  writeText(name: string, text: string): Promise<void>;
  writeFile(name: string, body: (sink: FileSink) => Promise<void>): Promise<void>;
}

export type ExistingFolder = 'refuse' | 'replace' | 'merge';

export interface AdapterRequest {
  /**
   * Which adapter to use:
   * - `auto`: a hardware GPU, else a software driver of the system, else the packaged one;
   * - `gpu`: hardware only;
   * - `software`: a software driver of the system, else the packaged one;
   * - `swiftshader`: the packaged one;
   * - `null`: Dawn's null backend, which validates but computes nothing;
   * - any other value: part of an adapter's name.
   *
   * In a browser, `software` and `swiftshader` request the fallback adapter, other values the default one.
   */
  adapter?: string;
}

/** @internal */
export interface AdapterResult {
  adapter: GPUAdapter;
  /** A one-line description for people: `nvidia-h200 · NVIDIA: 580.159.04 580.159.4.0`. */
  description: string;
  /** True if the adapter computes on the CPU. */
  software: boolean;
}

export interface HubOptions {
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  /** Access token; default HF_TOKEN, else the one that a log-in saved. */
  token?: string;
  /** Default HF_HUB_CACHE, else the hub's usual folder. */
  cacheDir?: string;
  /** Use only what is in the cache. Default: if HF_HUB_OFFLINE=1. */
  localFilesOnly?: boolean;
  /** The hub's address; default HF_ENDPOINT. */
  hubUrl?: string;
  /** Called as a file's bytes arrive. */
  onProgress?: (progress: DownloadProgress) => void;
}

export interface DownloadProgress {
  file: string;
  loadedBytes: number;
  totalBytes: number;
}

/** Which files of a model to download from the hub. */
export interface ModelDownload extends HubOptions {
  /** Files that must exist. */
  required: readonly string[];
  /**
   * The weights: a single file, or an index whose text `shardsOf` turns into the names of the shards. Null if
   * no weights are wanted.
   */
  weights: {
    single: string;
    index: string;
    shardsOf: (path: string, text: string) => readonly string[];
  } | null;
  /** Files downloaded if they exist. */
  optional: readonly string[];
  /** Like `optional`, but finding one in the cache does not prove that the others were requested. */
  beside?: readonly string[];
}

/** A folder's handle, as `showDirectoryPicker()` and a drop give it. */
export interface PickedFolder {
  readonly kind: 'directory';
  readonly name: string;
}

/** A `File`, as an input and a drop give it. */
export interface PickedFile {
  readonly name: string;
  readonly size: number;
  /** Its path, if it came with a folder. */
  readonly webkitRelativePath?: string;
}

/** How an upload reaches the hub. */
export type PushAccess = Pick<HubOptions, 'token' | 'hubUrl'>;

/** Whose a token is. */
export interface HubAccount {
  name: string;
  orgs: readonly string[];
  /** False if the token is for reading only. */
  mayWrite: boolean;
}

/** @internal A file to upload: its place in the repository, and its bytes or the path that has them. */
export interface HubFile {
  path: string;
  content: Blob | string;
}

/** @internal */
export interface HubUpload extends PushAccess {
  files: readonly HubFile[];
  /** Of the commit. */
  title: string;
  /** Whether a new repository is private; undefined: as the account has it. */
  isPrivate?: boolean;
}

/** A data set of the hub at one commit. */
export interface DatasetSnapshot {
  readonly id: string;
  /** All its files. */
  readonly paths: readonly string[];
  /** What its card says in YAML, or null. */
  readonly card: unknown;
  /** Downloads some of its files, unless cached, and returns where they are. */
  fetch(paths: readonly string[]): Promise<string[]>;
}

/**
 * Processes that a launcher (`mpirun`, `srun`) started together, each with a rank. All of them must make the
 * same calls in the same order; a call ends when all have made it. If another process of this machine ends
 * meanwhile, calls throw `ProcessGroupError`.
 */
export interface ProcessGroup {
  readonly rank: number;
  /** The number of processes. */
  readonly size: number;
  /** The rank among the processes of this machine. */
  readonly localRank: number;
  /** The library, for people. */
  readonly description: string;
  /** Writes the sum of all processes' `values` into each one's `sums`, of the same length. */
  allReduce<T extends Float32Array | Float64Array>(values: T, sums: T): Promise<void>;
  /** Sends the n-th of `size` equal parts to rank n; the part from rank n becomes the n-th of `received`. */
  allToAll(parts: Uint8Array, received: Uint8Array): Promise<void>;
  /** Joins all processes' `part`, in the order of ranks, in each one's `joined`. */
  allGather(part: Uint8Array, joined: Uint8Array): Promise<void>;
  /** Overwrites the values with those of a rank. */
  broadcast(values: Float32Array | Uint8Array, root: number): Promise<void>;
  /** Everybody's values, by rank: of numbers, texts, typed arrays, and plain objects and arrays of them. */
  allGatherObject<T>(value: T): Promise<T[]>;
  /** Rank 0's value; what others pass is not looked at. */
  broadcastObject<T>(value: T): Promise<T>;
  barrier(): Promise<void>;
  /** Ends all processes at once, this one included; the launcher reports the code. */
  abort(code: number): void;
  /** Leaves the group, when all processes do; to be called before a process ends. */
  finalize(): Promise<void>;
}

export interface Platform {
  readonly name: 'node' | 'deno' | 'browser';
  /** @internal */
  requestAdapter(request: AdapterRequest): Promise<AdapterResult>;
  /**
   * The group of processes that this one was started in; null if it was started alone. The same each time.
   * Throws `ProcessGroupError` saying what to install if the group cannot be joined.
   */
  initProcessGroup(): Promise<ProcessGroup | null>;
  /** Settles as `work` does; meanwhile leaves the CPU to a `software` adapter. */
  waitForGpu<T>(work: Promise<T>, software: boolean): Promise<T>;
  exists(path: string): Promise<boolean>;
  isFolder(path: string): Promise<boolean>;
  /** Names of the entries in a folder, sorted. */
  list(path: string): Promise<string[]>;
  joinPath(...parts: string[]): string;
  /** Whether asking for a file that is not there costs a request, so that guesses are to be few. */
  isRemote(path: string): boolean;
  /**
   * Gives a path to a folder, or to files, that the user of a browser picked. Throws `FileError` if there is
   * nothing to mount, and where paths name folders already.
   */
  mount(source: PickedFolder | Iterable<PickedFile>): Promise<string>;
  /** Throws `FileError` naming the path if the file is missing. */
  openFile(path: string): Promise<FileSource>;
  readText(path: string): Promise<string>;
  remove(path: string): Promise<void>;
  /** Tries what `writeFolder` needs and throws `FileError` if it would fail. Leaves nothing behind. */
  checkWritable(path: string): Promise<void>;
  /** Removes the unfinished folders of `writeFolder` calls whose processes were killed. */
  sweep(path: string): Promise<void>;
  /**
   * Writes a folder atomically. `body` writes into a hidden folder, inside `path` if that exists (it may be a
   * mount) and beside it otherwise. The hidden folder is renamed into place at the end, or removed if `body`
   * throws. If `path` exists, `refuse` throws `OutputExistsError` before `body` runs; `replace` swaps out the
   * whole old folder, file by file if it is a mount; `merge` keeps the old folder's other files and replaces
   * each written file by a rename.
   */
  writeFolder(
    path: string,
    existing: ExistingFolder,
    body: (folder: FolderWriter) => Promise<void>,
  ): Promise<void>;
  /** Appends to a file, which is made with its folders if it is not there. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Downloads a model from the hub into the cache, unless cached. Returns the snapshot's folder. */
  downloadModel(id: string, download: ModelDownload): Promise<string>;
  /** Throws `NotFoundError` if the hub has no such data set, `FileError` if it cannot be had. */
  openDataset(id: string, options: HubOptions): Promise<DatasetSnapshot>;
  /** Throws `ConfigError` without a token, `FileError` if the hub does not take it. */
  hubAccount(options: PushAccess): Promise<HubAccount>;
  /**
   * @internal Uploads files to a model's repository, which is made if it is not there, as one commit. Throws
   * `FileError`.
   */
  upload(id: string, upload: HubUpload): Promise<{ url: string; commit: string }>;
  /**
   * Reads or writes a small text that is kept between runs. Reading gives null if there is none; writing does
   * nothing if the host cannot keep it.
   */
  readCache(name: string): Promise<string | null>;
  writeCache(name: string, text: string): Promise<void>;
  /** The path of a file or folder that ships with the package. */
  packagePath(name: string): string;
}
