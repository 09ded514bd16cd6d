import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { discoverCuda } from '../../../src/cuda/discovery';
import { cudaEnvironment, cudaVariables, type CudaOptions } from '../../../src/cuda/environment';
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
  const system = fakeSystem(machine);
  return cudaEnvironment(await discoverCuda(options, system), options, '/binding', system);
}

describe('cudaEnvironment', () => {
  it('links the binding’s runtime beside the provider’s libraries, then leads to CUDA’s folders', async () => {
    const files = [
      ...below('/storage', providers),
      ...below('/usr/local/cuda/lib64', cuda13),
      '/opt/cuda/lib64/libcudnn.so.9',
      '/usr/lib/x86_64-linux-gnu/libcuda.so.1',
    ];
    const machine = { files };
    const { libraryPath, reason } = await environmentOf(machine);
    expect(reason).toBe('');
    const [linked = '', ...folders] = libraryPath;
    expect(folders).toEqual(['/usr/local/cuda/lib64', '/opt/cuda/lib64']);
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

  it('takes all of CUDA out of the Python environment in use, nothing else, and a driver only where there is none', async () => {
    const cuda = [...cuda13, 'libnvrtc.so.13', 'libnvrtc-builtins.so.13.0', 'libnvJitLink.so.13'];
    const cudnn = ['libcudnn.so.9', 'libcudnn_graph.so.9', 'libcudnn_engines_precompiled.so.9'];
    const files = [
      ...below('/storage', providers),
      ...below(`${nvidia}/cu13/lib`, [...cuda, 'libstdc++.so.6', 'libc.so.6', 'libcuda.so.1', 'libonnxruntime.so.1']),
      ...below(`${nvidia}/cudnn/lib`, [...cudnn, 'libpthread.so.0']),
      ...below('/other/lib/python3.12/site-packages/nvidia/cufft/lib', ['libcufftw.so.12', 'libnvblas.so.13']),
    ];
    const more = { environments: [{ folder: '/other', from: 'the other one' }] };
    const machine = { files: [...files, '/usr/lib/x86_64-linux-gnu/libcuda.so.1'], env: { VIRTUAL_ENV: '/venv' } };
    const { libraryPath, reason } = await environmentOf(machine, more);
    expect(reason).toBe('');
    expect(libraryPath).toHaveLength(1);
    const [linked = ''] = libraryPath;
    expect((await readdir(linked)).sort()).toEqual(['libonnxruntime.so.1', ...providers, ...cuda, ...cudnn].sort());
    expect(await readlink(join(linked, 'libonnxruntime.so.1'))).toBe('/binding/libonnxruntime.so.1');
    const [withoutDriver = ''] = (await environmentOf({ ...machine, files }, more)).libraryPath;
    expect(await readlink(join(withoutDriver, 'libcuda.so.1'))).toBe(`${nvidia}/cu13/lib/libcuda.so.1`);
  });

  it('prefers the system’s libraries of CUDA to those of a Python environment', async () => {
    const files = [
      ...below('/storage', providers),
      ...below('/usr/lib64', [...cuda13, 'libcuda.so.1', 'libnvrtc.so.13']),
      ...below(`${nvidia}/cu13/lib`, [...cuda13, 'libnvrtc.so.13', 'libnvJitLink.so.13']),
      `${nvidia}/cudnn/lib/libcudnn.so.9`,
    ];
    const [linked = '', ...folders] = (await environmentOf({ files, env: { VIRTUAL_ENV: '/venv' } })).libraryPath;
    expect(folders).toEqual([]);
    expect((await readdir(linked)).sort()).toEqual(
      ['libonnxruntime.so.1', ...providers, 'libcudnn.so.9', 'libnvJitLink.so.13'].sort(),
    );
  });

  it.each([
    ['empty', ''],
    ['relative', 'cache'],
    ['absent', undefined],
    ['absolute', '/xdg'],
  ])(
    'makes its folder in the user’s cache where XDG_CACHE_HOME is %s, never in a relative one',
    async (_name, value) => {
      const files = [
        ...below('/storage', providers),
        ...below('/usr/lib64', ['libcuda.so.1', 'libcudnn.so.9', ...cuda13]),
      ];
      const xdg = value === '/xdg' ? join(cacheDirectory, 'xdg') : value;
      const machine = { files, home: cacheDirectory, env: xdg === undefined ? {} : { XDG_CACHE_HOME: xdg } };
      const { libraryPath } = await environmentOf(machine, { cacheDirectory: undefined });
      const cache = join(cacheDirectory, value === '/xdg' ? 'xdg' : '.cache', 'tatok-inspector');
      expect(libraryPath.map(dirname)).toEqual([cache]);
    },
  );

  it('passes no folder on that is relative to wherever the process was started', async () => {
    const folders = ['', '.', 'lib', 'venv/lib/python3.12/site-packages/nvidia/cu13/lib', 'cuda/lib64'];
    const files = [
      ...below('/storage', providers),
      ...below('/usr/lib64', ['libcuda.so.1']),
      ...folders.flatMap((folder) => below(join('/', folder), [...cuda13, 'libcudnn.so.9', ...providers])),
    ];
    const env = {
      LD_LIBRARY_PATH: ':lib:/data/lib::.:',
      CUDA_HOME: 'cuda',
      CUDA_PATH: '',
      VIRTUAL_ENV: 'venv',
      CONDA_PREFIX: '',
    };
    // Its list reads a relative folder as one of the root, where this process may have been started.
    const system = fakeSystem({ files, env });
    const variables = await cudaVariables({ storage: '/storage', cacheDirectory }, import.meta.filename, system);
    const path = variables['LD_LIBRARY_PATH']?.split(':') ?? [];
    expect(path).toEqual([expect.stringContaining(cacheDirectory), '/data/lib']);
    expect(variables['TATOK_CUDA_REASON']).toContain('were not found');
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
