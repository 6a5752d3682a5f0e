/** Decoding: encodings, byte-order marks and line ends, for every chunk size; errors name the line. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linesOf, readLines } from '../../src/data/chunks.ts';
import { readTable, type TableOptions } from '../../src/data/table.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dawngrad-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function write(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, bytes);
  return path;
}
async function rows(name: string, bytes: Uint8Array, options?: TableOptions) {
  const table = await readTable(await write(name, bytes), options);
  return table.rows.map(({ text, label }) => [text, label]);
}
const message = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => `${error.name}: ${error.message.replaceAll(scratch, 'FOLDER')}`,
  );

type Order = 'le' | 'be';
function utf16(text: string, order: Order, mark = true): Buffer {
  const bytes = Buffer.from((mark ? '\uFEFF' : '') + text, 'utf16le');
  return order === 'be' ? bytes.swap16() : bytes;
}
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');

const header = Buffer.from('text\tlabel\n');
/** Two rows in encodings that Node cannot write, as written by Python. */
const python = {
  // 'Привет мир\tда\nнет\tнет\n'
  'windows-1251': hex('cff0e8e2e5f220ece8f009e4e00aede5f209ede5f20a'),
  // 'Привет мир\tда\nнет\tнет\n'
  'koi8-r': hex('f0d2c9d7c5d420cdc9d209c4c10acec5d409cec5d40a'),
  // '日本語のテキスト\tあ\n漢字\tい\n'
  shift_jis: hex('93fa967b8cea82cc8365834c8358836709 82a00a 8abf8e9a0982a20a'),
  // '中文文本\t是\n汉字\t否\n'
  gb18030: hex('d6d0cec4cec4b1be09cac70ababad7d609b7f10a'),
  // '한국어\t예\n텍스트\t아니\n'
  'euc-kr': hex('c7d1b1b9beee09bfb90ac5d8bdbac6ae09bec6b4cf0a'),
  // 'café été\toui\nnon\tnon\n'
  macintosh: hex('6361668e208e748e096f75690a6e6f6e096e6f6e0a'),
};
const texts: Record<keyof typeof python, string[][]> = {
  'windows-1251': [
    ['Привет мир', 'да'],
    ['нет', 'нет'],
  ],
  'koi8-r': [
    ['Привет мир', 'да'],
    ['нет', 'нет'],
  ],
  shift_jis: [
    ['日本語のテキスト', 'あ'],
    ['漢字', 'い'],
  ],
  gb18030: [
    ['中文文本', '是'],
    ['汉字', '否'],
  ],
  'euc-kr': [
    ['한국어', '예'],
    ['텍스트', '아니'],
  ],
  macintosh: [
    ['café été', 'oui'],
    ['non', 'non'],
  ],
};

describe('a file that is not UTF-8', () => {
  it('is refused with its line and the likely encoding, not read with letters lost', async () => {
    const bytes = latin1('text,label\nle vin est bon,pêche\nplain,autre\n');
    expect(await message(rows('latin1.csv', bytes))).toMatchSnapshot();
    const later = Buffer.concat([Buffer.from('text\tlabel\nnaïve\tx\n'), latin1('b\ty\ncafé\tx\n')]);
    const found = await message(rows('later.tsv', later));
    expect(found).toContain('later.tsv: line 4 is not utf-8; its bytes look like windows-1252 ·');
    for (let chunkBytes = 1; chunkBytes <= 40; chunkBytes += 1)
      expect(await message(rows('later.tsv', later, { chunkBytes }))).toBe(found);
  });

  it('whose other lines are is not taken for one in another encoding', async () => {
    const good = Buffer.from('text\tlabel\ncafé à côté\tx\nschön für über\ty\n');
    for (const [name, bytes] of [
      ['joined.tsv', latin1('café\tx\n')],
      ['cut.tsv', Buffer.from('caf\xc3', 'latin1')],
    ] as const)
      expect(await message(rows(name, Buffer.concat([good, bytes])))).toBe(
        `DataError: FOLDER/${name}: line 4 is not utf-8, though other lines are · mend or remove the line: the file may be cut off, or joined from files in two encodings`,
      );
  });

  it.each<[string, Buffer]>([
    ['a zip archive', hex('504b0304140000000800')],
    ['packed with zstd', hex('28b52ffd04000000')],
  ])('but %s is called so', async (what, bytes) => {
    const found = await message(rows('packed.tsv', Buffer.concat([bytes, Buffer.alloc(9, 0xe9)])));
    expect(found).toContain(`packed.tsv: the file is ${what}`);
  });

  it.each(Object.entries(python))('is guessed by its letters and read by name: %s', async (name, bytes) => {
    const file = Buffer.concat([header, bytes]);
    const guessed = await message(rows(`${name}.tsv`, file));
    expect(guessed).toContain(`line 2 is not utf-8; its bytes look like ${name}`);
    expect(guessed).toContain(`--encoding ${name}`);
    const read = await rows(`${name}.tsv`, file, { encoding: name });
    expect(read).toEqual(texts[name as keyof typeof python]);
    for (let chunkBytes = 1; chunkBytes <= 30; chunkBytes += 1)
      expect(await rows(`${name}.tsv`, file, { encoding: name, chunkBytes })).toEqual(read);
  });

  it('is read with the marks that Windows has and Latin-1 has not', async () => {
    const bytes = Buffer.concat([header, hex('93 e9 94 20 85 20 80'), Buffer.from('\tx\nb\ty\n')]);
    for (const encoding of ['windows-1252', 'cp1252', 'latin-1', 'ISO-8859-1'])
      expect((await rows('marks.tsv', bytes, { encoding }))[0]).toEqual(['“é” … €', 'x']);
  });

  it('is refused where the encoding is unknown, or does not fit', async () => {
    const messages = [
      await message(rows('a.tsv', header, { encoding: 'klingon' })),
      await message(rows('b.tsv', Buffer.from('\uFEFFtext\tlabel\na\tx\n'), { encoding: 'latin1' })),
      await message(
        rows('c.tsv', Buffer.concat([header, hex('82a009780a 8209780a')]), { encoding: 'shift_jis' }),
      ),
      await message(rows('d.tsv', hex('fffe0000 74000000 0a000000'))),
    ];
    expect(messages).toMatchSnapshot();
  });
});

describe('UTF-16', () => {
  // The bytes of U+0A0A and U+0D0A include those of line ends.
  const text = 'text\tlabel\r\nhé 日ਊ\u0d0a😀\tx\r\nb\ty\r\n';
  const read = [
    ['hé 日ਊ\u0d0a😀', 'x'],
    ['b', 'y'],
  ];

  it.each(['le', 'be'] as const)('is read by its mark, in pieces of any size: %s', async (order) => {
    for (let chunkBytes = 1; chunkBytes <= 60; chunkBytes += 1)
      expect(await rows('mark.tsv', utf16(text, order), { chunkBytes })).toEqual(read);
  });

  it.each(['le', 'be'] as const)('without a mark is named, and read by name: %s', async (order) => {
    const bytes = utf16(text, order, false);
    expect(await message(rows('bare.tsv', bytes))).toContain(
      `bare.tsv: every other byte is zero: the file looks like utf-16${order} · pass --encoding utf-16${order}`,
    );
    expect(await rows('bare.tsv', bytes, { encoding: `utf_16_${order}` })).toEqual(read);
  });

  it('names the line of half a character', async () => {
    const bytes = Buffer.concat([utf16('text\tlabel\na\tx\nb\ty\n', 'le'), hex('41')]);
    expect(await message(rows('odd.tsv', bytes))).toContain('odd.tsv: line 4 is not utf-16le');
  });
});

it.skipIf(process.platform === 'win32')('a pipe is read as a file is', async () => {
  const path = join(scratch, 'pipe.tsv');
  execFileSync('mkfifo', [path]);
  const writing = writeFile(path, utf16('text\tlabel\né\tx\n', 'be'));
  expect((await readTable(path)).rows).toEqual([{ text: 'é', label: 'x', line: 2 }]);
  await writing;
});

describe('line ends', () => {
  it('may be returns alone', async () => {
    const read = [
      ['a, b', 'x'],
      ['c', 'y'],
    ];
    expect(await rows('mac.tsv', Buffer.from('text\tlabel\ra, b\tx\rc\ty\r'))).toEqual(read);
    expect(await rows('mac.csv', Buffer.from('text,label\r"a, b",x\rc,y\r'))).toEqual(read);
    const lines = '{"text":"a, b","label":"x"}\r{"text":"c","label":"y"}';
    expect(await rows('mac.jsonl', Buffer.from(lines))).toEqual(read);
  });

  it('may have a return too many', async () => {
    expect(await rows('double.tsv', Buffer.from('label\ttext\r\r\nx\ta\r\r\ny\tb\r\r\n'))).toEqual([
      ['a', 'x'],
      ['b', 'y'],
    ]);
  });

  it('are those of Python where lines are read, blank ones too', async () => {
    const cases: [Uint8Array | string, string[]][] = [
      ['\uFEFFa\r\n\r\n b\rc\n\nd', ['a', '', ' b', 'c', '', 'd']],
      ['a\n', ['a']],
      ['', []],
      ['\n', ['']],
      ['\uFEFF', []],
      [utf16('é\r\n日\n', 'be'), ['é', '日']],
    ];
    for (const [bytes, lines] of cases) {
      const path = await write('lines.txt', bytes);
      for (const chunkBytes of [1, 2, 3, 5, 100]) {
        const read: string[] = [];
        for await (const line of readLines(path, { chunkBytes })) read.push(line);
        expect(read).toEqual(lines);
      }
    }
  });

  it('of a stream give a line as soon as it is whole', async () => {
    const seen: string[] = [];
    async function* typed() {
      for (const part of ['a', '\nb', 'c\n', 'd']) {
        yield Buffer.from(part);
        seen.push(part);
      }
    }
    const lines = linesOf('input', typed());
    expect((await lines.next()).value).toBe('a');
    expect(seen).toEqual(['a']);
    expect((await lines.next()).value).toBe('bc');
    expect((await lines.next()).value).toBe('d');
  });
});
