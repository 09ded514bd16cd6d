/** Refusals of the disk while the provider is put into place, each in a sentence of its own. */
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { stageProvider } from '../../../src/cuda/install';
import { refusalOf } from '../refusal';

vi.mock('node:fs/promises', async (original) => ({ ...(await original<object>()), copyFile: vi.fn() }));

let folder: string;
let source: string;

beforeEach(async () => {
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
