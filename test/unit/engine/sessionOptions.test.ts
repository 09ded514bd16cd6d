import { describe, expect, it } from 'vitest';
import { sessionOptions } from '../../../src/engine/sessionOptions';

describe('what ONNX Runtime is told of', () => {
  const session = (...given: Parameters<typeof sessionOptions>) => sessionOptions(...given).extra?.['session'];

  it('CUDA: the GPU', () => {
    expect(sessionOptions('cuda', {}).executionProviders).toEqual([{ name: 'cuda', deviceId: 0 }]);
    expect(sessionOptions('cuda', { cudaDevice: 2 }).executionProviders).toEqual([{ name: 'cuda', deviceId: 2 }]);
    expect(session('cuda', { cudaDevice: 2 })).toEqual({ intra_op: { allow_spinning: '0' } });
  });

  it('CUDA with a memory limit: that weights take no more than they need', () => {
    expect(session('cuda', { cudaMemoryLimit: 512 })).toEqual({
      intra_op: { allow_spinning: '0' },
      use_device_allocator_for_initializers: '1',
    });
  });

  it.each(['cpu', 'dml', 'coreml', 'webgpu'] as const)('%s: nothing of CUDA', (provider) => {
    const options = sessionOptions(provider, { cudaDevice: 2, cudaMemoryLimit: 512 });
    expect(options.executionProviders).toEqual([provider]);
    expect(options.extra).toEqual({ session: { intra_op: { allow_spinning: '0' } } });
  });
});
