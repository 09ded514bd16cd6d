import { mkdir, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cudaEnvironment } from '../../../src/inference/cuda';

const libraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];

let folder: string;
let binding: string;
let provider: string;
let cacheDirectory: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-cuda-'));
  [binding, provider, cacheDirectory] = ['binding', 'provider', 'cache'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([mkdir(binding), mkdir(provider)]);
  await writeFile(join(binding, 'libonnxruntime.so.1'), 'runtime');
});

afterEach(() => rm(folder, { recursive: true }));

const install = (where: string) => Promise.all(libraries.map((name) => writeFile(join(where, name), 'library')));

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('cudaEnvironment', () => {
  it('links the binding’s runtime beside the provider’s libraries, and searches their folder too', async () => {
    await install(provider);
    const options = { libraryPath: provider, cacheDirectory };
    const { libraryPath, reasons } = await cudaEnvironment(options, binding);
    expect(reasons).toEqual([]);
    expect(libraryPath[1]).toBe(provider);
    const linked = libraryPath[0] ?? '';
    expect((await readdir(linked)).sort()).toEqual(['libonnxruntime.so.1', ...libraries].sort());
    expect(await readlink(join(linked, 'libonnxruntime.so.1'))).toBe(join(binding, 'libonnxruntime.so.1'));
    expect(await cudaEnvironment(options, binding)).toEqual({ libraryPath, reasons });
  });

  it('takes libraries that lie beside the binding as they are', async () => {
    await install(binding);
    expect(await cudaEnvironment({ cacheDirectory }, binding)).toEqual({ libraryPath: [binding], reasons: [] });
  });

  it('says which library a configured folder lacks', async () => {
    const [shared = ''] = libraries;
    await writeFile(join(provider, shared), 'library');
    const { libraryPath, reasons } = await cudaEnvironment({ libraryPath: provider, cacheDirectory }, binding);
    expect(libraryPath).toEqual([]);
    expect(reasons).toEqual([`${provider} holds no libonnxruntime_providers_cuda.so.`]);
  });

  it('says so when there are none anywhere', async () => {
    const { reasons } = await cudaEnvironment({ cacheDirectory }, binding);
    expect(reasons).toEqual(['libonnxruntime_providers_cuda.so was not found.']);
  });
});
