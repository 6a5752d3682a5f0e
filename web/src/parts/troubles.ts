/** What to tell about an error, and what to change. */

/** An error as it comes from the worker. */
export interface WorkerError {
  name: string;
  message: string;
}

export interface Trouble {
  title: string;
  text: string;
  /** What may help, most likely first. */
  remedies: readonly string[];
}

/** Paths in the browser's own storage, of which only the last name means something to people. */
const STORED = /(?:opfs|memory|folder):\/[^\s'"]*\/(?=[^\s'"/]+)/g;

const known: Readonly<Record<string, Omit<Trouble, 'text'>>> = {
  GpuOutOfMemoryError: {
    title: 'The GPU has too little memory for this training',
    remedies: [
      'Halve the batch size.',
      'Lower the most tokens of a text.',
      'Take a smaller model.',
      'Close other tabs and programs that use the GPU.',
    ],
  },
  DeviceLostError: {
    title: 'The browser lost the GPU',
    remedies: [
      'Go on: a driver that was reset, or a computer that slept, is usually back.',
      'If it happens again, halve the batch size: the GPU may have run out of memory or of time.',
      'Reload the page if the GPU does not come back.',
    ],
  },
  NonFiniteError: {
    title: 'The training diverged',
    remedies: [
      'Lower the learning rate to a tenth.',
      'Raise the share of warm-up.',
      'Look for broken labels.',
    ],
  },
  NoAdapterError: { title: 'There is no GPU that this page may use', remedies: [] },
  DataError: { title: 'The data cannot be used as they are', remedies: [] },
  FileError: { title: 'A file could not be read or written', remedies: [] },
  NotFoundError: { title: 'There is no such model', remedies: [] },
};

const fullStorage: Omit<Trouble, 'text'> = {
  title: 'The storage that the browser gives to this page is full',
  remedies: [
    'Download the model of your last training, and remove it here: reload the page.',
    'Free some space on the disk.',
    'Take a smaller model.',
  ],
};

/** Splits the library's `what · remedy`. */
export function troubleOf({ name, message }: WorkerError): Trouble {
  const [text = '', ...own] = message.replace(STORED, '').split(' · ');
  const full = /storage for this page is full/.test(message) ? fullStorage : undefined;
  const { title, remedies } = full ?? known[name] ?? { title: 'Something went wrong', remedies: [] };
  const sentences = own.map((remedy) => `${remedy[0]!.toUpperCase()}${remedy.slice(1)}.`);
  // Those for people who write programs are of no use here.
  return { title, text, remedies: remedies.length > 0 ? remedies : sentences };
}
