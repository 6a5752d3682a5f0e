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
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

/** What was dropped: a folder if there is one, else the files. */
export async function droppedModel(transfer: DataTransfer): Promise<ModelSource> {
  const items = [...transfer.items] as unknown as DroppedItem[];
  // Both must be asked for before the first wait: the transfer is empty afterwards.
  const files = items.flatMap((item) => item.getAsFile() ?? []);
  const handles = items.map((item) => (item.kind === 'file' ? item.getAsFileSystemHandle?.() : null));
  for (const handle of await Promise.all(handles))
    if (handle?.kind === 'directory') return { kind: 'folder', handle: handle as FileSystemDirectoryHandle };
  return { kind: 'files', files };
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
