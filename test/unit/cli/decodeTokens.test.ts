import { describe, expect, it } from 'vitest';
import { pathInside } from '../../../src/cli/decodeTokens';

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
