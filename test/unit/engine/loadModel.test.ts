import { InferenceSession } from 'onnxruntime-node';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cudaDirectoryVariable } from '../../../src/cuda/environment';
import { loadBundle } from '../../../src/engine/loadModel';
import { ProviderFailed } from '../../../src/protocol/errorTransfer';
import type { Bundle } from '../../../src/bundle/manifest';
import { readGraph } from '../../../src/bundle/verify';
import { refusalOf } from '../refusal';
import { tinyModel } from '../model';
import { until } from '../until';

vi.mock('onnxruntime-node', () => ({ InferenceSession: { create: vi.fn() } }));
vi.mock('../../../src/bundle/verify');

const outOfMemory = new Error('CUDA failure 2: out of memory ; GPU=0');
const bundle = {
  model: tinyModel,
  manifest: {
    graphs: { encoder: 'encoder.onnx', entropy: 'entropy.onnx', decoder: 'decoder.onnx' },
    variants: {},
    files: [],
  },
} as unknown as Bundle;
const choice = { directory: tinyModel.directory, providers: ['cuda', 'cpu'] };

let release: ReturnType<typeof vi.fn>;

/** Sessions are opened until the one of this graph; the bytes of each are its name. */
function failAt(graph: string): void {
  vi.mocked(InferenceSession.create).mockImplementation(((bytes: Uint8Array) =>
    new TextDecoder().decode(bytes) === graph
      ? Promise.reject(outOfMemory)
      : Promise.resolve({ release })) as unknown as typeof InferenceSession.create);
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

beforeEach(() => {
  vi.mocked(readGraph).mockImplementation((_directory, _files, name) =>
    Promise.resolve({ bytes: new TextEncoder().encode(name), externalData: [] }),
  );
  release = vi.fn();
  vi.mocked(InferenceSession.create).mockReset();
  vi.stubEnv(cudaDirectoryVariable, '/cuda');
});

describe('a provider that fails while a model is loaded', () => {
  it('with sessions open is left to the end of the process: they are not released, and nothing else is tried', async () => {
    failAt('decoder.onnx');
    const error = await refusal(loadBundle(bundle, choice));
    if (!(error instanceof ProviderFailed)) throw error;
    expect(error.failed).toEqual({ choice, provider: 'cuda', reason: 'CUDA failure 2: out of memory.' });
    expect(release).not.toHaveBeenCalled();
    expect(InferenceSession.create).toHaveBeenCalledTimes(3);
  });

  it('is an error with its reason where the order ends with it', async () => {
    failAt('decoder.onnx');
    const error = await refusalOf(() => loadBundle(bundle, { ...choice, providers: ['cuda'] }));
    expect(error.code).toBe('provider-unavailable');
    expect(error.message).toContain('cuda: CUDA failure 2: out of memory.');
    // The process lives on: what was opened must not wait for the garbage collector on a GPU that is full.
    await until(() => release.mock.calls.length === 2);
  });

  it('is followed by the next where no session was opened', async () => {
    failAt('encoder.onnx');
    const error = await refusalOf(() => loadBundle(bundle, choice));
    expect(error.code).toBe('model-incompatible');
    expect(vi.mocked(InferenceSession.create).mock.calls.map(([, options]) => options?.executionProviders)).toEqual([
      [{ name: 'cuda', deviceId: 0 }],
      ['cpu'],
    ]);
  });
});
