/** Refusals of the disk while the provider is put into place, each in a sentence of its own. */
import type * as FileSystem from 'node:fs/promises';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { stageProvider } from '../../../src/cuda/install';
import { refusalOf } from '../refusal';

const disk = await vi.importActual<typeof FileSystem>('node:fs/promises');
vi.mock('node:fs/promises', async (original) => ({
  ...(await original<object>()),
  copyFile: vi.fn(),
  rename: vi.fn(),
}));
const binding = join(import.meta.dirname, '../../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64');

let folder: string;
let source: string;

beforeEach(async () => {
  vi.mocked(rename).mockImplementation(disk.rename);
  folder = await mkdtemp(join(tmpdir(), 'tatok-install-'));
  source = join(folder, 'mine');
  await mkdir(source);
  for (const name of ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so']) {
    await writeFile(join(source, name), '');
  }
});

afterEach(() => rm(folder, { recursive: true }));

it.each([
  ['ENOSPC', /^There is no room left on the disk\.$/, 'Make room and start again.'],
  ['EDQUOT', /^There is no room left on the disk\.$/, 'Make room and start again.'],
  ['EACCES', /mine may not be read or written\.$/, 'Give yourself access to it, or choose a copy.'],
  ['EROFS', /mine may not be read or written\.$/, 'Give yourself access to it, or choose a copy.'],
  ['EIO', /mine could not be read or written: EIO: refused\.$/, undefined],
])('%s has a sentence, says what to do, and leaves nothing', async (code, sentence, advice) => {
  vi.mocked(copyFile).mockRejectedValue(
    Object.assign(new Error(`${code}: refused`), { code, syscall: 'copyfile', path: source }),
  );
  const target = join(folder, 'storage', 'provider');
  const error = await refusalOf(() => stageProvider(source, target, { signal: new AbortController().signal }));
  expect(error.message).toMatch(sentence);
  expect(error.advice).toBe(advice);
  expect(await readdir(join(folder, 'storage'))).toEqual([]);
});

it('puts an earlier set back where the new one cannot take its place', async () => {
  // A small real library in place of the provider.
  vi.mocked(copyFile).mockImplementation((_, to) => disk.copyFile(join(binding, 'onnxruntime_binding.node'), to));
  const target = join(folder, 'storage', 'provider');
  await mkdir(target, { recursive: true });
  await writeFile(join(target, 'earlier.so'), 'an earlier set');
  const staged = await stageProvider(source, target, { signal: new AbortController().signal });
  let refused = 0;
  vi.mocked(rename).mockImplementation(async (from, to) => {
    if (to === target && refused++ === 0) {
      throw Object.assign(new Error('EACCES: refused'), { code: 'EACCES', syscall: 'rename', path: from });
    }
    await disk.rename(from, to);
  });
  expect((await refusalOf(() => staged.commit())).message).toMatch(/may not be read or written\.$/);
  await staged.discard();
  expect(await readdir(join(folder, 'storage'))).toEqual(['provider']);
  expect(await disk.readFile(join(target, 'earlier.so'), 'utf8')).toBe('an earlier set');
});
