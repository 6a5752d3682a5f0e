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

/** Paths that the page made up, of which only the last name means something to people; spaces are in quotes. */
const STORED =
  /(?<=')(?:opfs|memory|folder):\/(?:[^']*\/)?(?=[^'/]+')|(?:opfs|memory|folder):\/(?:[^\s'"]*\/)?(?=[^\s'"/]+)/g;
/** A page's models come from folders, or from the hub. */
const NO_FOLDER = /'[^']*' is no folder, and (?=the hub)| is no folder, and it/;

const LABEL_COLUMN = 'call the column of the labels “label”';

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
  CheckpointError: { title: 'The weights of the model cannot be used', remedies: [] },
  TokenizerError: { title: 'The tokenizer of the model cannot be used', remedies: [] },
  UnsupportedModelError: { title: 'Models of this kind cannot be trained here', remedies: [] },
};

/** Those that are known by their message: a `FileError` may be of many kinds. */
const byMessage: readonly (readonly [RegExp, Omit<Trouble, 'text'>])[] = [
  [
    /storage for this page is full/,
    {
      title: 'The storage that the browser gives to this page is full',
      remedies: [
        'Download the model of your last training, and remove it here: reload the page.',
        'Free some space on the disk.',
        'Take a smaller model.',
      ],
    },
  ],
  [
    /the hub at \S+ cannot be reached/,
    {
      title: 'The hub cannot be reached',
      remedies: ['Check the network, and the address of the hub.', 'Or choose a folder that has the model.'],
    },
  ],
  [
    /could not be downloaded whole/,
    {
      title: 'The download broke off',
      remedies: ['Try again: files that came whole are not downloaded again.'],
    },
  ],
  [/its disk is full/, { title: 'The disk is full', remedies: [] }],
  [/ is gated: /, { title: 'The model is gated', remedies: [] }],
  [/could not be downloaded from the hub/, { title: 'The model could not be downloaded', remedies: [] }],
  [
    /the page has no permission/,
    {
      title: 'The browser keeps the page out of that folder',
      remedies: [
        'Try again, and allow the page to use the folder.',
        'Choose another folder: those of the system are never given to pages.',
      ],
    },
  ],
];

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

/** What to do in the file, in place of options that only the command has. */
const inFile: readonly (readonly [RegExp, string])[] = [
  [
    /^pass --header or --no-header.*/,
    'write the names of the columns, such as text and label, into the first line',
  ],
  [/^name it with --text-column/, 'call the column of the texts “text”'],
  [/^name .*with --label-column(, or several with commas between them where each is a class)?/, LABEL_COLUMN],
  [/^name it 'label'.*/, LABEL_COLUMN],
  [/^pass --problem-type .*/, 'write classes as words, and values as numbers'],
];

/** A remedy without options of the command; null if nothing is left. */
function forPage(remedy: string): string | null {
  const worded = inFile.reduce((text, [pattern, words]) => text.replace(pattern, words), remedy);
  const ways = worded.split(/, or /).filter((way) => !/--[a-z]/.test(way));
  return ways.length === 0 ? null : ways.join(', or ');
}

/** Splits the library's `what · remedy`. */
export function troubleOf({ name, message }: WorkerError): Trouble {
  const [text = '', ...own] = message.replace(STORED, '').replace(NO_FOLDER, '').split(' · ');
  const special = byMessage.find(([pattern]) => pattern.test(message))?.[1];
  const { title, remedies } = special ?? known[name] ?? { title: 'Something went wrong', remedies: [] };
  const sentences = own.flatMap((remedy) => forPage(remedy) ?? []).map(sentence);
  // Those for people who write programs are of no use here.
  return { title, text, remedies: remedies.length > 0 ? remedies : sentences };
}
