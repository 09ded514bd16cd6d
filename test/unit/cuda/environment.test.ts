import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { discoverCuda } from '../../../src/cuda/discovery';
import { cudaEnvironment, type CudaOptions } from '../../../src/cuda/environment';
import { fakeSystem, type FakeMachine } from './fakeSystem';

const providers = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
const cuda13 = ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13', 'libcurand.so.10'];
const nvidia = '/venv/lib/python3.12/site-packages/nvidia';
const below = (folder: string, names: readonly string[]) => names.map((name) => `${folder}/${name}`);

let cacheDirectory: string;

beforeEach(async () => {
  cacheDirectory = await mkdtemp(join(tmpdir(), 'tatok-cuda-'));
});

afterEach(() => rm(cacheDirectory, { recursive: true }));

async function environmentOf(machine: FakeMachine, more: CudaOptions = {}) {
  const options = { storage: '/storage', cacheDirectory, bindingDirectory: '/binding', ...more };
  return cudaEnvironment(await discoverCuda(options, fakeSystem(machine)), options, '/binding');
}

describe('cudaEnvironment', () => {
  it('links the binding’s runtime beside the provider’s libraries, then leads to CUDA’s folders', async () => {
    const files = [
      ...below('/storage', providers),
      ...below(`${nvidia}/cu13/lib`, cuda13),
      `${nvidia}/cudnn/lib/libcudnn.so.9`,
      '/usr/lib/x86_64-linux-gnu/libcuda.so.1',
    ];
    const machine = { files, env: { VIRTUAL_ENV: '/venv' } };
    const { libraryPath, reason } = await environmentOf(machine);
    expect(reason).toBe('');
    const [linked = '', ...folders] = libraryPath;
    expect(folders).toEqual([`${nvidia}/cu13/lib`, `${nvidia}/cudnn/lib`]);
    expect((await readdir(linked)).sort()).toEqual(['libonnxruntime.so.1', ...providers].sort());
    expect(await readlink(join(linked, 'libonnxruntime.so.1'))).toBe('/binding/libonnxruntime.so.1');
    expect((await environmentOf(machine)).libraryPath).toEqual(libraryPath);
    expect(await readdir(cacheDirectory)).toHaveLength(1);
  });

  it('takes only CUDA’s libraries out of a conda environment, never its C++ runtime', async () => {
    const parts = [...cuda13, 'libcudnn.so.9', 'libcudnn_graph.so.9', 'libnvrtc-builtins.so.13.0'];
    const files = [
      ...below('/storage', providers),
      ...below('/conda/lib', [...parts, 'libstdc++.so.6', 'libglib-2.0.so.0']),
      '/conda/conda-meta/history',
      '/usr/lib/x86_64-linux-gnu/libcuda.so.1',
    ];
    const { libraryPath } = await environmentOf({ files, env: { CONDA_PREFIX: '/conda' } });
    expect(libraryPath).toHaveLength(1);
    expect((await readdir(libraryPath[0] ?? '')).sort()).toEqual(
      ['libonnxruntime.so.1', ...providers, ...parts].sort(),
    );
  });

  it('takes the provider from where it was set up, and what it needs from the folder of the setting', async () => {
    const files = [
      ...below('/storage', providers),
      ...below('/mine', [...cuda13, 'libcudnn.so.9']),
      ...below('/usr/local/cuda/lib64', cuda13),
      '/usr/lib/x86_64-linux-gnu/libcuda.so.1',
    ];
    const { libraryPath, reason } = await environmentOf({ files }, { libraryPath: '/mine' });
    expect(reason).toBe('');
    const [linked = '', ...folders] = libraryPath;
    expect(folders).toEqual(['/mine']);
    for (const name of providers) expect(await readlink(join(linked, name))).toBe(`/storage/${name}`);
  });

  it('is empty without a provider, and says why', async () => {
    const files = ['/usr/lib/x86_64-linux-gnu/libcuda.so.1', ...below('/usr/lib64', [...cuda13, 'libcudnn.so.9'])];
    expect(await environmentOf({ files })).toEqual({
      libraryPath: [],
      reason: 'The CUDA provider of ONNX Runtime 1.29.0 is not set up.',
    });
  });

  it('still lets the loader try where a library seems to be missing', async () => {
    const files = [...below('/storage', providers), '/usr/lib64/libcuda.so.1', ...below('/usr/lib64', cuda13)];
    const { libraryPath, reason } = await environmentOf({ files });
    expect(libraryPath).toHaveLength(1);
    expect(reason).toBe('cuDNN (libcudnn.so.9) was not found.');
  });
});
