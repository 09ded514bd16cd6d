import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pathInside, PictureFolder } from '../../../src/cli/decodeTokens';

describe('paths of pictures', () => {
  it.each([
    ['a/b/cat.jpg', 'a/b/cat.jpg'],
    ['../../etc/passwd.png', 'etc/passwd.png'],
    ['/etc/./x.png', 'etc/x.png'],
    ['..\\..\\x.png', 'x.png'],
    ['C:\\x.png', 'C_/x.png'],
    ['a\u0000b\u001b[2J\u202e.png', 'a_b_[2J_.png'],
    ['..', 'image'],
    ['', 'image'],
    ['x.tar/...../y.png', 'x.tar/y.png'],
  ])('%j stays inside the folder, as %s', (path, inside) => {
    expect(pathInside(path)).toBe(inside);
  });
});

describe('pictures in a folder', () => {
  it('of one path are numbered, past names that are taken', () => {
    const pictures = new PictureFolder('out');
    const names = ['a', 'a-2', 'a', 'a', 'a-2', 'a'].map((path) => pictures.nameFor(path));
    expect(names).toEqual(['a.png', 'a-2.png', 'a-3.png', 'a-4.png', 'a-2-2.png', 'a-5.png']);
    // Each name is found at once: trying all from the first on would take minutes.
    const many = Array.from({ length: 100_000 }, () => pictures.nameFor('b'));
    expect(new Set(many).size).toBe(100_000);
  });

  it('are written but for those whose name the file system does not take', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tatok-pictures-'));
    const pictures = new PictureFolder(folder);
    const picture = { width: 1, height: 1, rgb: Uint8Array.of(1, 2, 3) };
    const written: boolean[] = [];
    for (const path of ['a', 'a.png/b', 'x'.repeat(300), 'c']) {
      written.push(await pictures.write(pictures.nameFor(path), picture));
    }
    expect(written).toEqual([true, false, false, true]);
    await rm(folder, { recursive: true });
  });
});
