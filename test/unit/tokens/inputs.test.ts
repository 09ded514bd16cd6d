/** Where images come from, and archives that are made to do harm. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { pack, type Header } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { byCodePoints, ImageInputs } from '../../../src/tokens/inputs';
import { rowsFromParquet } from '../../../src/tokens/tokenRows';
import { refusalOf } from '../refusal';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-inputs-'));
});

afterEach(() => rm(folder, { recursive: true }));

async function write(path: string, content: string | Uint8Array = path): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}

async function tar(
  name: string,
  entries: readonly (Partial<Header> & { name: string; content?: string })[],
): Promise<string> {
  const packing = pack();
  for (const { content = '', ...header } of entries) packing.entry(header, content);
  packing.finalize();
  return write(name, await buffer(packing));
}

const pathsOf = (inputs: ImageInputs) => Array.from(inputs, ({ path }) => path);
const labelsOf = (inputs: ImageInputs) => Array.from(inputs, ({ label }) => label);
const textsOf = (inputs: ImageInputs) =>
  Promise.all(Array.from(inputs, async (input) => new TextDecoder().decode(await input.read())));

describe('inputs', () => {
  it('are the images of a folder and those below, by code points, labelled by their folder', async () => {
    for (const path of [
      'in/b/x.JPG',
      'in/a/y/z.png',
      'in/Z.webp',
      'in/.hidden.avif',
      'in/a.txt',
      'in/\u{1f600}.png',
      'in/\uffee.png',
    ]) {
      await write(path);
    }
    const inputs = await ImageInputs.list([join(folder, 'in')]);
    expect(pathsOf(inputs)).toEqual(['.hidden.avif', 'Z.webp', 'a/y/z.png', 'b/x.JPG', '\uffee.png', '\u{1f600}.png']);
    expect(labelsOf(inputs)).toEqual([null, null, 'a', 'b', null, null]);
    expect(await inputs.at(3).read()).toEqual(new Uint8Array(await readFile(join(folder, 'in/b/x.JPG'))));
  });

  it('sort as UTF-8 does', () => {
    const names = [
      'a',
      'ab',
      '',
      'Ж',
      '\ud7ff',
      '\ue000',
      '\uffff',
      '\u{10000}',
      '\u{10ffff}',
      'a\u{1f600}',
      'a\uffff',
    ];
    const bytewise = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(names.toSorted(byCodePoints)).toEqual(bytewise);
  });

  it('are those of a list, relative to it, and fail one by one', async () => {
    const absolute = await write('elsewhere/c.png');
    await write('lists/dogs/a.png');
    const list = await write('lists/all.txt', `dogs/a.png\r\n\n../missing.png\n${absolute}\n`);
    const inputs = await ImageInputs.list([list]);
    expect(pathsOf(inputs)).toEqual(['../missing.png', absolute, 'dogs/a.png']);
    expect(labelsOf(inputs)).toEqual(['..', null, 'dogs']);
    await expect(inputs.at(0).read()).rejects.toMatchObject({ code: 'ENOENT' });
    expect(new TextDecoder().decode(await inputs.at(2).read())).toBe('lists/dogs/a.png');
  });

  it('are those of a WebDataset in its order, with the labels beside them', async () => {
    const archive = await tar('train-0.tar', [
      { name: 'n/0002.jpg', content: 'second' },
      { name: 'n/0002.cls', content: '7\n' },
      { name: 'n/0001.cls', content: '3' },
      { name: 'n/0001.seg.png', content: 'first' },
      { name: 'n/0001.json', content: '{}' },
    ]);
    const inputs = await ImageInputs.list([archive]);
    expect(pathsOf(inputs)).toEqual(['n/0002.jpg', 'n/0001.seg.png']);
    expect(labelsOf(inputs)).toEqual(['7', '3']);
    expect(await textsOf(inputs)).toEqual(['second', 'first']);
  });

  it.each([
    ['bytes', { name: 'image', type: 'BYTE_ARRAY' as const, data: [Uint8Array.of(1), null, Uint8Array.of(3)] }],
    [
      'a structure as Hugging Face’s data sets have it',
      {
        name: 'image',
        data: [
          { bytes: Uint8Array.of(1), path: 'a.png' },
          { bytes: null, path: 'b.png' },
          { bytes: Uint8Array.of(3), path: null },
        ],
      },
    ],
  ])('are the rows of a Parquet file: %s', async (_name, column) => {
    const nested = !('type' in column);
    const labels = { name: 'label', data: [5, 6, 7], ...(!nested && { type: 'INT32' as const }) };
    const bytes = parquetWriteBuffer({
      columnData: [column, labels],
      rowGroupSize: 2,
      ...(nested && {
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 },
          { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
          { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          { name: 'label', type: 'INT32', repetition_type: 'OPTIONAL' },
        ],
      }),
    });
    const inputs = await ImageInputs.list([await write('x.parquet', new Uint8Array(bytes))]);
    expect(pathsOf(inputs)).toEqual(nested ? ['a.png', 'b.png', '2'] : ['0', '1', '2']);
    expect(labelsOf(inputs)).toEqual(['5', '6', '7']);
    expect([await inputs.at(2).read(), await inputs.at(0).read()]).toEqual([Uint8Array.of(3), Uint8Array.of(1)]);
    const { code } = await refusalOf(() => inputs.at(1).read());
    expect(code).toBe('image-unreadable');
  });

  it('follow the order of the arguments; archives name their images then', async () => {
    const first = await tar('b.tar', [{ name: '0.png', content: 'b' }]);
    const second = await tar('a.tar', [{ name: '0.png', content: 'a' }]);
    const picture = await write('c.png');
    const inputs = await ImageInputs.list([first, second, picture]);
    expect(pathsOf(inputs)).toEqual(['b.tar/0.png', 'a.tar/0.png', 'c.png']);
    expect(await textsOf(inputs)).toEqual(['b', 'a', 'c.png']);
    expect(() => inputs.at(3)).toThrow(RangeError);
  });
});

describe('hostile archives', () => {
  it('are read in memory: names lead nowhere, links and devices are no images', async () => {
    const archive = await tar('x.tar', [
      { name: '../../outside.png', content: 'up' },
      { name: '/etc/passwd.png', content: 'absolute' },
      { name: 'link.png', type: 'symlink', linkname: '/etc/passwd' },
      { name: 'hard.png', type: 'link', linkname: '../../outside.png' },
      { name: 'device.png', type: 'character-device' },
      { name: 'folder.png/', type: 'directory' },
    ]);
    const inputs = await ImageInputs.list([archive]);
    expect(pathsOf(inputs)).toEqual(['../../outside.png', '/etc/passwd.png']);
    expect(await textsOf(inputs)).toEqual(['up', 'absolute']);
  });

  it('have rows that fail where they claim more bytes than there are, or than can be read', async () => {
    const archive = await tar('x.tar', [
      { name: 'good.png', content: 'good' },
      { name: 'short.png', content: 'cut' },
    ]);
    const bytes = await readFile(archive);
    await writeFile(archive, bytes.subarray(0, 512 + 512 + 512 + 2));
    const inputs = await ImageInputs.list([archive]);
    expect(new TextDecoder().decode(await inputs.at(0).read())).toBe('good');
    expect((await refusalOf(() => inputs.at(1).read())).message).toBe('The archive ends before the image does.');

    // 8 GiB less a byte in octal digits, and the checksum of that header.
    const header = Buffer.from(bytes.subarray(1024, 1536));
    header.write('77777777777\0', 124, 'latin1');
    header.write('        ', 148, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    await writeFile(archive, Buffer.concat([bytes.subarray(0, 1024), header, bytes.subarray(1536)]));
    const huge = await ImageInputs.list([archive]);
    expect((await refusalOf(() => huge.at(1).read())).message).toBe(
      'The file has 8590 MB; more than 1074 MB cannot be read.',
    );
  });

  it('are refused where their headers are damaged', async () => {
    const archive = await tar('x.tar', [{ name: 'a.png', content: 'a' }, { name: 'b.png' }]);
    const bytes = await readFile(archive);
    bytes.fill(0xff, 1024, 1100);
    await writeFile(archive, bytes);
    expect((await refusalOf(() => ImageInputs.list([archive]))).message).toMatch(
      /x\.tar cannot be read as images: it is damaged after 1 images \(Invalid tar header/,
    );
  });

  it('are refused where they are Parquet that is cut short or none', async () => {
    const columnData = [{ name: 'image', type: 'BYTE_ARRAY' as const, data: [new Uint8Array(1000)] }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    for (const content of [bytes.subarray(0, bytes.length - 20), bytes.subarray(0, 3), new Uint8Array()]) {
      const error = await refusalOf(async () => ImageInputs.list([await write('x.parquet', content)]));
      expect(error).toMatchObject({ code: 'input-unreadable' });
      expect(error.message).toMatch(/x\.parquet cannot be read as images: /);
    }
    // Pages that are damaged are found when their rows are read.
    const damaged = bytes.slice().fill(0xee, 4, 60);
    const inputs = await ImageInputs.list([await write('x.parquet', damaged)]);
    await expect(inputs.at(0).read()).rejects.toThrow();
  });

  it('are refused where a small file would unpack to more rows than it has bytes', async () => {
    const columnData = [{ name: 'image', type: 'BYTE_ARRAY' as const, data: new Array<null>(2000).fill(null) }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    expect((await refusalOf(async () => ImageInputs.list([await write('x.parquet', bytes)]))).message).toMatch(
      /it claims more rows than it has bytes\.$/,
    );
    expect((await refusalOf(() => rowsFromParquet('part', bytes))).message).toMatch(
      /it claims more rows than it has bytes\.$/,
    );
  });

  it('are refused where a page claims more values than its column', async () => {
    const data = Array.from({ length: 300 }, (_, i) => Uint8Array.of(i, i >> 8, 7, 7));
    const bytes = new Uint8Array(
      parquetWriteBuffer({ columnData: [{ name: 'image', type: 'BYTE_ARRAY' as const, data }] }),
    );
    await ImageInputs.list([await write('x.parquet', bytes)]);
    // 300 as a zigzag varint, first in the header of the data page: two bytes of five that say 2 ** 30.
    const at = Buffer.from(bytes).indexOf(Buffer.of(0xd8, 0x04));
    expect(at).toBeGreaterThan(4);
    const claims = bytes.slice();
    claims.set([0xd9 - 1, 0x7f], at);
    const says = /a page of it claims more values than its column\.$/;
    const inputs = await ImageInputs.list([await write('y.parquet', claims)]);
    await expect(inputs.at(0).read()).rejects.toThrow('a page of it claims more values than its column');
    expect((await refusalOf(() => rowsFromParquet('part', claims))).message).toMatch(says);
  });

  it('are refused where a name in a tar is longer than any file system takes', async () => {
    const archive = await tar('x.tar', [{ name: 'a.png' }, { name: `${'a'.repeat(5000)}.png` }]);
    expect((await refusalOf(() => ImageInputs.list([archive]))).message).toMatch(
      /it is damaged after 1 images \(a name has 5004 characters\)\.$/,
    );
  });

  it('are refused where they have no column of images', async () => {
    const columnData = [{ name: 'caption', type: 'STRING' as const, data: ['a'] }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    expect((await refusalOf(async () => ImageInputs.list([await write('x.parquet', bytes)]))).message).toMatch(
      /it has no column of bytes\.$/,
    );
  });
});

describe('arguments that are no inputs', () => {
  it.each([
    ['a file that is not there', () => Promise.resolve('nowhere.tar'), /there is no such file or folder/],
    ['a compressed tar', () => write('x.tar.gz').then(() => 'x.tar.gz'), /it is compressed/],
    ['bytes', () => write('x.bin', Uint8Array.of(0xff, 0xfe)).then(() => 'x.bin'), /neither an image nor an archive/],
    ['text with zeros', () => write('x.list', 'a\0b').then(() => 'x.list'), /neither an image nor an archive/],
  ])('are refused in a sentence: %s', async (_name, make, says) => {
    const name = await make();
    const error = await refusalOf(() => ImageInputs.list([join(folder, name)]));
    expect(error.code).toBe('input-unreadable');
    expect(error.message).toMatch(says);
  });

  it.skipIf(process.platform === 'win32')('are refused at once where they are pipes or devices', async () => {
    execFileSync('mkfifo', [join(folder, 'x.tar')]);
    await symlink('/dev/zero', join(folder, 'x.parquet'));
    for (const name of ['x.tar', 'x.parquet']) {
      expect((await refusalOf(() => ImageInputs.list([join(folder, name)]))).code).toBe('input-unreadable');
    }
  });

  it('are refused where a list is larger than any', async () => {
    const list = await write('x.txt');
    await truncate(list, 2 ** 40);
    expect((await refusalOf(() => ImageInputs.list([list]))).code).toBe('input-unreadable');
  });
});
