/** Files and folders that the user picks or drops. */
import type { ModelSource } from '../contract.ts';

type FolderPicker = (options?: { mode?: 'read' | 'readwrite' }) => Promise<FileSystemDirectoryHandle>;

/** The browser's picker of folders; null in browsers without it (Firefox, Safari). */
export const folderPicker = (): FolderPicker | null =>
  (window as Window & { showDirectoryPicker?: FolderPicker }).showDirectoryPicker?.bind(window) ?? null;

/** Whether the user closed a picker. */
export const isCancelled = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError';

interface DroppedItem {
  kind: string;
  getAsFile(): File | null;
  /** Missing in Firefox and Safari. */
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
  webkitGetAsEntry?(): FileSystemEntry | null;
}

/** What was dropped: a folder if there is one, else the files. Throws `FileError` for anything else. */
export async function droppedModel(transfer: DataTransfer): Promise<ModelSource> {
  const items = ([...transfer.items] as unknown as DroppedItem[]).filter(({ kind }) => kind === 'file');
  // All must be asked for before the first wait: the transfer is empty afterwards.
  const files = items.flatMap((item) => item.getAsFile() ?? []);
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const handles = items.map((item) => item.getAsFileSystemHandle?.());
  for (const handle of await Promise.all(handles))
    if (handle?.kind === 'directory') return { kind: 'folder', handle: handle as FileSystemDirectoryHandle };
  const folder = entries.find((entry) => entry?.isDirectory);
  const found = folder ? await filesOf(folder as FileSystemDirectoryEntry) : files;
  if (found.length > 0) return { kind: 'files', files: found };
  throw Object.assign(
    new Error('what was dropped is no file and no folder · drop them from a folder’s window'),
    {
      name: 'FileError',
    },
  );
}

/** The files of a folder, without those of folders in it. */
async function filesOf(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // Gives some of the entries each time.
    const entries = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (entries.length === 0) return files;
    for (const entry of entries)
      if (entry.isFile)
        files.push(await new Promise((done, fail) => (entry as FileSystemFileEntry).file(done, fail)));
  }
}

/** Keeps the browser from leaving the page for a file that is dropped beside the places for it. */
export function refuseOtherDrops(): void {
  for (const type of ['dragover', 'drop'] as const)
    window.addEventListener(type, (event) => event.preventDefault());
}

/** Makes an element take drops. */
export function acceptDrops(element: HTMLElement, onDrop: (transfer: DataTransfer) => void): void {
  const mark = (over: boolean) => (event: DragEvent) => {
    event.preventDefault();
    element.classList.toggle('over', over);
  };
  element.addEventListener('dragover', mark(true));
  element.addEventListener('dragleave', mark(false));
  element.addEventListener('drop', (event) => {
    mark(false)(event);
    if (event.dataTransfer !== null) onDrop(event.dataTransfer);
  });
}

/** Has the browser save a file. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
