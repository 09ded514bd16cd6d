import { expect, it } from 'vitest';
import { cudaOptionsIn } from '../../../src/cli/cudaOptions';
import { discoverCuda } from '../../../src/cuda/discovery';
import { fakeSystem } from '../cuda/fakeSystem';

it('is found in the Python environment of the checkout', async () => {
  const packages = '/checkout/.venv/lib/python3.12/site-packages/nvidia';
  const libraries = ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13', 'libcurand.so.10'];
  const files = [
    ...libraries.map((name) => `${packages}/cu13/lib/${name}`),
    `${packages}/cudnn/lib/libcudnn.so.9`,
    ...['shared', 'cuda'].map((name) => `/binding/libonnxruntime_providers_${name}.so`),
    '/usr/lib64/libcuda.so.1',
  ];
  const options = { ...cudaOptionsIn('/checkout'), bindingDirectory: '/binding' };
  const { problems, libraries: found } = await discoverCuda(options, fakeSystem({ files }));
  expect(problems).toEqual([]);
  const from = found.flatMap(({ always, place }) => (always ? [place?.from] : []));
  expect(new Set(from)).toEqual(new Set([expect.stringContaining('this checkout’s .venv')]));
});
