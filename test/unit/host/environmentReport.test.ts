import { expect, it } from 'vitest';
import { environmentReport, type EnvironmentFacts } from '../../../src/host/environmentReport';
import { discoverCuda } from '../../../src/cuda/discovery';
import type { LoadedModel } from '../../../src/protocol/engineMessages';
import { fakeSystem } from '../cuda/fakeSystem';

const nvidia = '/home/ada/.local/lib/python3.12/site-packages/nvidia';

it('tells versions, the provider in use and why, and what was found where, without the user’s name', async () => {
  const files = [`${nvidia}/cu13/lib/libcublas.so.13`, '/usr/lib64/libcuda.so.1'];
  const facts: EnvironmentFacts = {
    extension: '0.1.0',
    vscode: '1.100.0',
    node: 'v20.19.0',
    platform: 'linux-x64',
    remote: 'ssh-remote',
    trusted: true,
    providers: ['cuda', 'cpu'],
    loaded: {
      model: { name: 'tatok-s-256', version: '0.1.0', directory: '/home/ada/models' },
      provider: { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'It is not set up.' }] },
    } as unknown as LoadedModel,
    discovery: await discoverCuda({ bindingDirectory: '/binding' }, fakeSystem({ files })),
    home: '/home/ada',
  };
  const report = environmentReport(facts).source;
  expect(report.split('\n')).toEqual(
    expect.arrayContaining([
      '- TaTok Inspector `0.1.0`, VS Code `1.100.0` (`ssh-remote`)',
      '- Node `v20.19.0` on `linux-x64`, ONNX Runtime `1.29.0`',
      '- model `tatok-s-256 0.1.0` in `~/models`',
      '- runs on **cpu**',
      '  - not on cuda: `It is not set up.`',
      '- cuBLAS: `~/.local/lib/python3.12/site-packages/nvidia/cu13/lib/libcublas.so.13 (NVIDIA’s Python packages in Python’s user packages)`',
    ]),
  );
  expect(report).toContain(
    '- **missing**: `cuBLASLt, cuRAND, CUDA runtime and cuDNN were not found (libcublasLt.so.13, libcurand.so.10, libcudart.so.13, libcudnn.so.9). Install',
  );
  expect(report).toContain('- with pip, in the workspace’s Python environment: `pip install "nvidia-cublas==13.*"');
  expect(report).not.toContain('ada');
  expect(environmentReport({ ...facts, loaded: 'There is no model.' }).source).toContain(
    '- no model: `There is no model.`',
  );
});
