/**
 * What a host (Node, Deno, a browser) gives the engine. Each implements `Platform`; the import `#platform`
 * picks one.
 */

/** A file read by range; nothing is held in memory but the ranges asked for. */
export interface FileSource {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`; throws `FileError` where the file is shorter. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file written front to back. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** A folder under construction: names are relative to it, subfolders allowed ('a/b.json'). */
export interface FolderWriter {
  writeText(name: string, text: string): Promise<void>;
  writeFile(name: string, body: (sink: FileSink) => Promise<void>): Promise<void>;
}

export type ExistingFolder = 'refuse' | 'replace' | 'merge';

export interface AdapterRequest {
  /**
   * Which adapter: `auto` (a hardware GPU, else a software driver of the system, else the packaged one),
   * `gpu` (hardware only), `software` (a software driver of the system, else the packaged one),
   * `swiftshader` (the packaged one), `null` (Dawn's null backend: validates, computes nothing),
   * or any part of an adapter's name.
   */
  adapter?: string;
}

/** @internal */
export interface AdapterResult {
  adapter: GPUAdapter;
  /** One line for people: `NVIDIA H200 (vulkan)`. */
  description: string;
  /** True where the adapter computes on the CPU. */
  software: boolean;
}

/** What to fetch of a model on the hub. */
export interface ModelDownload {
  revision?: string;
  token?: string;
  cacheDir?: string;
  localFilesOnly?: boolean;
  hubUrl?: string;
  /** Files that must be there. */
  required: readonly string[];
  /**
   * The weights: one file, or an index whose text `shardsOf` turns into the names of several. Null where they
   * are not wanted.
   */
  weights: {
    single: string;
    index: string;
    shardsOf: (path: string, text: string) => readonly string[];
  } | null;
  /** Files taken where they exist. */
  optional: readonly string[];
  /** The same, but one of them in the cache does not tell that the others were asked for. */
  beside?: readonly string[];
  onProgress?: (progress: { file: string; loadedBytes: number; totalBytes: number }) => void;
}

export interface Platform {
  readonly name: 'node' | 'deno' | 'browser';
  /** @internal */
  requestAdapter(request: AdapterRequest): Promise<AdapterResult>;
  /** Settles as `work` does, which the GPU does; leaves the CPU to an adapter that is a `software` one. */
  waitForGpu<T>(work: Promise<T>, software: boolean): Promise<T>;
  exists(path: string): Promise<boolean>;
  isFolder(path: string): Promise<boolean>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  joinPath(...parts: string[]): string;
  /** Throws `FileError` naming the path where it is missing. */
  openFile(path: string): Promise<FileSource>;
  readText(path: string): Promise<string>;
  remove(path: string): Promise<void>;
  /** Throws `FileError` where `writeFolder` could not write, after trying it; leaves nothing. */
  checkWritable(path: string): Promise<void>;
  /** Removes what `writeFolder` had under construction in processes that were killed. */
  sweep(path: string): Promise<void>;
  /**
   * Fills a folder so that it appears whole or not at all: `body` writes into a hidden one, inside `path`
   * where that exists (which may be a mount) and beside it otherwise, which is renamed into place at the end
   * and removed where `body` throws. `refuse` throws `OutputExistsError` if `path` exists (before `body`
   * runs); `replace` swaps the old folder out whole, file by file where it is a mount; `merge` keeps the old
   * folder's other files and replaces each written file by a rename.
   */
  writeFolder(
    path: string,
    existing: ExistingFolder,
    body: (folder: FolderWriter) => Promise<void>,
  ): Promise<void>;
  /**
   * Downloads a model from the hub into its cache and returns the snapshot's folder; what is cached is not
   * fetched again.
   */
  downloadModel(id: string, download: ModelDownload): Promise<string>;
  /**
   * A small text kept between runs, null where there is none; and keeping one. Where nothing can be kept,
   * nothing is.
   */
  readCache(name: string): Promise<string | null>;
  writeCache(name: string, text: string): Promise<void>;
  /** The path of a file or folder that ships with the package. */
  packagePath(name: string): string;
}
