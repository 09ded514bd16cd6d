import { describe, expect, it } from 'vitest';
import { discoverCuda, reasonOf, type DiscoveryOptions } from '../../../src/cuda/discovery';
import { fakeSystem, type FakeMachine } from './fakeSystem';

const storage = '/storage/provider';
const options: DiscoveryOptions = { bindingDirectory: '/binding', storage };

const provider = (folder: string) => ['shared', 'cuda'].map((name) => `${folder}/libonnxruntime_providers_${name}.so`);
const cuda13 = ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13', 'libcurand.so.10', 'libcufft.so.12'];
const toolkit = (folder: string) => cuda13.map((name) => `${folder}/${name}`);
const driver = '/usr/lib/x86_64-linux-gnu/libcuda.so.1';
const cudnn = '/usr/lib/x86_64-linux-gnu/libcudnn.so.9';
const kernelModule = (version: string) => ({
  '/proc/driver/nvidia/version': `NVRM version: NVIDIA UNIX x86_64 Kernel Module  ${version}  Fri Apr  3\nGCC version: 12\n`,
});
const texts = kernelModule('580.159.04');

const look = (machine: FakeMachine, more: Partial<DiscoveryOptions> = {}) =>
  discoverCuda({ ...options, ...more }, fakeSystem(machine));

/** Where each library was found. */
const placesOf = ({ libraries }: Awaited<ReturnType<typeof look>>) =>
  Object.fromEntries(libraries.map(({ file, place }) => [file, place?.folder]));

describe('the layouts that CUDA is installed in', () => {
  it.each<[string, FakeMachine, Partial<DiscoveryOptions>, string, string]>([
    [
      'a toolkit',
      { files: [...toolkit('/usr/local/cuda-13.0/lib64'), cudnn] },
      {},
      '/usr/local/cuda-13.0/lib64',
      'folder',
    ],
    [
      'a toolkit’s target',
      { files: [...toolkit('/usr/local/cuda/targets/x86_64-linux/lib'), cudnn] },
      {},
      '/usr/local/cuda/targets/x86_64-linux/lib',
      'folder',
    ],
    [
      'a toolkit named by CUDA_HOME',
      { files: [...toolkit('/data/cuda/lib64'), cudnn], env: { CUDA_HOME: '/data/cuda' } },
      {},
      '/data/cuda/lib64',
      'folder',
    ],
    [
      'the system’s packages',
      { files: [...toolkit('/usr/lib/x86_64-linux-gnu'), cudnn] },
      {},
      '/usr/lib/x86_64-linux-gnu',
      'itself',
    ],
    [
      'LD_LIBRARY_PATH',
      { files: [...toolkit('/data/lib'), cudnn], env: { LD_LIBRARY_PATH: '/none:/data/lib' } },
      {},
      '/data/lib',
      'itself',
    ],
    [
      'a conda environment',
      {
        files: [...toolkit('/conda/envs/a/lib'), '/conda/envs/a/conda-meta/history', cudnn],
        env: { CONDA_PREFIX: '/conda/envs/a' },
      },
      {},
      '/conda/envs/a/lib',
      'links',
    ],
    ['a folder of the setting', { files: [...toolkit('/mine'), cudnn] }, { libraryPath: '/mine' }, '/mine', 'folder'],
  ])('%s', async (_name, { files = [], ...machine }, more, folder, reach) => {
    const found = await look({ texts, ...machine, files: [...files, ...provider(storage), driver] }, more);
    expect(found.problems).toEqual([]);
    expect(found.libraries.map(({ file }) => file)).toEqual(expect.arrayContaining(cuda13));
    for (const file of cuda13) expect(placesOf(found)[file], file).toBe(folder);
    expect(found.libraries[0]?.place?.reach).toBe(reach);
    expect(found.provider).toEqual({ folder: storage, from: 'set up by TaTok' });
  });

  it.each<[string, string, FakeMachine, Partial<DiscoveryOptions>]>([
    ['the active venv', '/venvs/a', { env: { VIRTUAL_ENV: '/venvs/a' } }, {}],
    ['conda with pip', '/conda', { env: { CONDA_PREFIX: '/conda' } }, {}],
    ['the user’s packages', '/home/ada/.local', {}, {}],
    [
      'a workspace’s .venv',
      '/project/.venv',
      {},
      { environments: [{ folder: '/project/.venv', from: 'the workspace’s .venv' }] },
    ],
  ])('NVIDIA’s Python packages in %s', async (_name, environment, machine, more) => {
    const nvidia = `${environment}/lib/python3.12/site-packages/nvidia`;
    const files = [...toolkit(`${nvidia}/cu13/lib`), `${nvidia}/cudnn/lib/libcudnn.so.9`, ...provider(storage), driver];
    const found = await look({ texts, ...machine, files }, more);
    expect(found.problems).toEqual([]);
    expect(placesOf(found)['libcublas.so.13']).toBe(`${nvidia}/cu13/lib`);
    expect(placesOf(found)['libcudnn.so.9']).toBe(`${nvidia}/cudnn/lib`);
  });

  it('the loader’s cache, in any folder', async () => {
    const listing = [...cuda13, 'libcudnn.so.9', 'libcuda.so.1']
      .map((name) => `\t${name} (libc6,x86-64) => /opt/nvidia/lib/${name}`)
      .join('\n');
    const commands = {
      '/sbin/ldconfig': `7 libs found in cache\n${listing}\n\tlibcuda.so.1 (libc6) => /usr/lib32/libcuda.so.1`,
    };
    const found = await look({ texts, commands, files: provider('/binding') });
    expect(found.problems).toEqual([]);
    expect(found.driver.library).toMatchObject({ folder: '/opt/nvidia/lib', reach: 'itself' });
    expect(found.provider?.from).toBe('beside onnxruntime-node');
  });
});

describe('what is missing or wrong', () => {
  const complete = [...toolkit('/usr/local/cuda/lib64'), cudnn, driver, ...provider(storage)];
  const problems = async (machine: FakeMachine, more: Partial<DiscoveryOptions> = {}) => {
    const found = await look({ texts, ...machine }, more);
    return found.problems.map(({ kind, message }) => `${kind}: ${message}`);
  };

  it('no driver, and then nothing else matters', async () => {
    const found = await look({});
    expect(reasonOf(found, undefined)).toBe('No NVIDIA driver was found.');
  });

  it('a container without its GPU', async () => {
    expect(await problems({ files: complete.filter((file) => file !== driver) })).toEqual([
      'no-driver: NVIDIA’s driver 580.159.04 has no libcuda.so.1 here, as in a container without its GPU.',
    ]);
  });

  it('a driver that is too old', async () => {
    expect(await problems({ files: complete, texts: kernelModule('550.54.15') })).toEqual([
      'driver-too-old: NVIDIA’s driver 550.54.15 is too old: CUDA 13 needs 580.65.06 or newer.',
    ]);
  });

  it('no GPU', async () => {
    const commands = { 'nvidia-smi': 'No devices were found\n' };
    expect(await problems({ files: complete, commands }, { askForGpus: true })).toEqual([
      'no-gpu: NVIDIA’s driver finds no GPU.',
    ]);
  });

  it('CUDA of another major version', async () => {
    const files = [...provider(storage), driver, cudnn, '/usr/local/cuda/lib64/libcudart.so.12'];
    expect(await problems({ files })).toEqual([
      'wrong-major: The provider needs CUDA 13, but CUDA 12 was found in /usr/local/cuda/lib64.',
      'library-missing: cuRAND (libcurand.so.10) was not found.',
    ]);
  });

  it('a library beside the runtime of the right major version, whatever else there is', async () => {
    const nvidia = '/venvs/a/lib/python3.12/site-packages/nvidia';
    const files = [
      ...provider(storage),
      driver,
      ...['libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12'].map((name) => `/usr/local/cuda/lib64/${name}`),
      ...['libcudart.so.13', 'libcurand.so.10'].map((name) => `${nvidia}/cu13/lib/${name}`),
      `${nvidia}/cudnn/lib/libcudnn.so.9`,
    ];
    expect(await problems({ files, env: { VIRTUAL_ENV: '/venvs/a' } })).toEqual([
      'library-missing: cuBLASLt and cuBLAS were not found.',
    ]);
  });

  it('missing libraries in one sentence, but none that only some operators want', async () => {
    const without = (pattern: RegExp) => complete.filter((file) => !pattern.test(file));
    expect(await problems({ files: without(/cufft|libcublas\./) })).toEqual([
      'library-missing: cuBLAS (libcublas.so.13) was not found.',
    ]);
    const found = await look({ texts, files: without(/cudnn|cufft|libcublas\./) });
    expect(found.problems).toEqual([
      {
        kind: 'library-missing',
        message: 'cuBLAS and cuDNN were not found.',
        files: ['libcublas.so.13', 'libcudnn.so.9'],
      },
    ]);
  });

  it('the provider itself', async () => {
    const files = complete.filter((file) => !file.startsWith(storage));
    expect(await problems({ files })).toEqual([
      'provider-missing: The CUDA provider of ONNX Runtime 1.29.0 is not set up.',
    ]);
  });

  it('the provider itself, everywhere: the folder of the setting is named too', async () => {
    const files = complete.filter((file) => !file.startsWith(storage));
    const missing = 'The CUDA provider of ONNX Runtime 1.29.0 is neither set up nor in /mine.';
    for (const mine of [[], toolkit('/mine'), ['/mine/libonnxruntime_providers_shared.so']]) {
      const found = await look({ texts, files: [...files, ...mine] }, { libraryPath: '/mine' });
      expect(found.problems).toEqual([{ kind: 'provider-missing', message: missing }]);
      expect(reasonOf(found, '/mine')).toBe(missing);
    }
    const withoutDriver = await look({ files: toolkit('/mine') }, { libraryPath: '/mine' });
    expect(reasonOf(withoutDriver, '/mine')).toBe(`No NVIDIA driver was found. ${missing}`);
  });

  it('half of a provider, unless another place has a whole one', async () => {
    const files = [...complete, '/mine/libonnxruntime_providers_cuda.so'];
    expect(await problems({ files }, { libraryPath: '/mine' })).toEqual([]);
    expect(await problems({ files }, { libraryPath: '/mine', storage: undefined })).toEqual([
      'provider-broken: The CUDA provider cannot be used: there is no libonnxruntime_providers_shared.so beside it (/mine/libonnxruntime_providers_cuda.so).',
    ]);
  });

  it('a broken provider, and not that the folder of the setting has none', async () => {
    const needs = { [`${storage}/libonnxruntime_providers_cuda.so`]: new Error('it is cut short') };
    const files = [...complete, ...toolkit('/mine')];
    expect(await problems({ files, needs }, { libraryPath: '/mine' })).toEqual([
      `provider-broken: The CUDA provider cannot be used: it is cut short (${storage}/libonnxruntime_providers_cuda.so).`,
    ]);
  });

  it('a broken provider, unless another place has a whole one', async () => {
    const needs = { '/mine/libonnxruntime_providers_cuda.so': new Error('it is cut short') };
    const files = [...complete, ...provider('/mine')];
    expect(await problems({ files, needs }, { libraryPath: '/mine' })).toEqual([]);
    expect(await problems({ files, needs }, { libraryPath: '/mine', storage: undefined })).toEqual([
      'provider-broken: The CUDA provider cannot be used: it is cut short (/mine/libonnxruntime_providers_cuda.so).',
    ]);
  });

  it('another system', async () => {
    expect(await problems({ platform: 'darwin' })).toEqual(['platform: CUDA is not available on darwin-x64.']);
  });
});

describe('what is found', () => {
  it('follows the provider’s own needs: one for CUDA 12 gets CUDA 12', async () => {
    const needs = {
      [`${storage}/libonnxruntime_providers_cuda.so`]: ['libcublas.so.12', 'libcudart.so.12', 'libcudnn.so.9'],
    };
    const files = [
      ...provider(storage),
      driver,
      cudnn,
      '/usr/local/cuda/lib64/libcublas.so.12',
      '/usr/local/cuda/lib64/libcudart.so.12',
    ];
    const found = await look({ files, needs, texts: kernelModule('535.54.03') });
    expect(found.requirements).toMatchObject({ cudaMajor: 12, oldestDriver: '525.60.13' });
    expect(found.problems).toEqual([]);
  });

  it.each([
    ['WSL', '/usr/lib/wsl/lib', '/usr/lib/wsl/lib'],
    ['containers', '/usr/local/nvidia/lib64', '/usr/local/nvidia/bin'],
  ])(
    'names the GPUs; nvidia-smi tells the driver’s version where the kernel does not, as in %s',
    async (_, lib, bin) => {
      const smi = '0, NVIDIA H100 80GB HBM3, 580.159.04, 81559 MiB\n1, NVIDIA L4, 580.159.04, 23034 MiB\n';
      const found = await look({ files: [`${lib}/libcuda.so.1`], commands: { [`${bin}/nvidia-smi`]: smi } });
      expect(found.driver).toMatchObject({
        version: '580.159.04',
        library: { folder: lib, reach: 'folder' },
        gpus: [
          { index: 0, name: 'NVIDIA H100 80GB HBM3', memory: '81559 MiB' },
          { index: 1, name: 'NVIDIA L4', memory: '23034 MiB' },
        ],
      });
    },
  );

  it('reads the version of the open kernel module', async () => {
    const open = {
      '/proc/driver/nvidia/version': 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.44.01  Release',
    };
    expect((await look({ texts: open, files: [driver] })).driver.version).toBe('590.44.01');
  });
});
