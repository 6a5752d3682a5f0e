/** Folders in memory, with the handles of the browser's File System API. Browsers may keep blobs on disk. */
import type { FileHandle, FolderHandle, Writable } from './handles.ts';

const missing = (name: string): DOMException =>
  new DOMException(`there is no entry '${name}'`, 'NotFoundError');
const mismatch = (name: string): DOMException =>
  new DOMException(`'${name}' is of the other kind`, 'TypeMismatchError');

class MemoryFile implements FileHandle {
  readonly kind = 'file';
  content = new Blob([]);
  private folder: MemoryFolder;

  constructor(
    folder: MemoryFolder,
    public name: string,
  ) {
    this.folder = folder;
  }

  async getFile(): Promise<Blob> {
    return this.content;
  }

  async createWritable({ keepExistingData = false } = {}): Promise<Writable> {
    let parts: BlobPart[] = keepExistingData ? [this.content] : [];
    return {
      // A view's memory may be used again.
      write: async (data) => void parts.push(data instanceof Blob ? data : data.slice()),
      seek: async (position) => {
        parts = [new Blob(parts).slice(0, position)];
      },
      close: async () => {
        this.content = new Blob(parts);
      },
      abort: async () => {},
    };
  }

  async move(folder: FolderHandle, name: string): Promise<void> {
    this.folder.entries.delete(this.name);
    this.folder = folder as MemoryFolder;
    this.name = name;
    this.folder.entries.set(name, this);
  }
}

export class MemoryFolder implements FolderHandle {
  readonly kind = 'directory';
  readonly entries = new Map<string, MemoryFile | MemoryFolder>();

  constructor(readonly name = '') {}

  async getDirectoryHandle(name: string, { create = false } = {}): Promise<MemoryFolder> {
    const found = this.entries.get(name);
    if (found instanceof MemoryFolder) return found;
    if (found !== undefined) throw mismatch(name);
    if (!create) throw missing(name);
    const made = new MemoryFolder(name);
    this.entries.set(name, made);
    return made;
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<MemoryFile> {
    const found = this.entries.get(name);
    if (found instanceof MemoryFile) return found;
    if (found !== undefined) throw mismatch(name);
    if (!create) throw missing(name);
    const made = new MemoryFile(this, name);
    this.entries.set(name, made);
    return made;
  }

  async removeEntry(name: string, { recursive = false } = {}): Promise<void> {
    const found = this.entries.get(name);
    if (found === undefined) throw missing(name);
    if (found instanceof MemoryFolder && found.entries.size > 0 && !recursive)
      throw new DOMException(`'${name}' is not empty`, 'InvalidModificationError');
    this.entries.delete(name);
  }

  async *values(): AsyncGenerator<MemoryFile | MemoryFolder> {
    yield* [...this.entries.values()];
  }

  /** Puts a file at a path of names, without reading it. */
  put(names: readonly string[], content: Blob): void {
    let folder: MemoryFolder = this;
    for (const name of names.slice(0, -1)) {
      const next = folder.entries.get(name);
      if (next instanceof MemoryFolder) folder = next;
      else {
        const made = new MemoryFolder(name);
        folder.entries.set(name, made);
        folder = made;
      }
    }
    const file = new MemoryFile(folder, names.at(-1)!);
    file.content = content;
    folder.entries.set(file.name, file);
  }
}
