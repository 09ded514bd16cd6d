import { describe, expect, it } from 'vitest';
import { explainProviderFailure, firstProvider } from '../../../src/engine/providers';
import { defaultProviders } from '../../../src/protocol/providerOrder';
import { TatokError } from '../../../src/method/errors';
import type { ProviderName } from '../../../src/method/types';
import { refusalOf } from '../refusal';

const explain = (_provider: ProviderName, error: unknown) => (error instanceof Error ? error.message : String(error));

/** Succeeds with the providers named, fails with the others. */
function working(...names: ProviderName[]) {
  const tried: ProviderName[] = [];
  const create = (provider: ProviderName) => {
    tried.push(provider);
    return names.includes(provider) ? Promise.resolve(`on ${provider}`) : Promise.reject(new Error(`no ${provider}`));
  };
  return { tried, create };
}

describe('firstProvider', () => {
  it('tries the order until one works, and keeps the reasons of the others', async () => {
    const { tried, create } = working('cpu', 'webgpu');
    const { value, report } = await firstProvider(['cuda', 'dml', 'cpu', 'webgpu'], create, explain);
    expect(value).toBe('on cpu');
    expect(tried).toEqual(['cuda', 'dml', 'cpu']);
    expect(report).toEqual({
      provider: 'cpu',
      failures: [
        { provider: 'cuda', reason: 'no cuda' },
        { provider: 'dml', reason: 'no dml' },
      ],
    });
  });

  it('reports a name that it does not know, without trying it', async () => {
    const { tried, create } = working('cpu');
    const { report } = await firstProvider(['gpu', 'cpu'], create, explain);
    expect(tried).toEqual(['cpu']);
    expect(report.failures).toEqual([
      { provider: 'gpu', reason: 'gpu is no known provider; known are cuda, cpu, dml, coreml, webgpu.' },
    ]);
  });

  it('fails with every reason when none works', async () => {
    const error = await refusalOf(() => firstProvider(['cuda', 'gpu'], working().create, explain));
    expect(error.code).toBe('provider-unavailable');
    expect(error.message).toContain('cuda: no cuda');
    expect(error.message).toContain('gpu: gpu is no known provider');
    expect((await refusalOf(() => firstProvider([], working().create, explain))).code).toBe('provider-unavailable');
  });

  it('passes a bad model on: no other provider would take it', async () => {
    const { tried, create } = working('cpu');
    const bad = new TatokError('model-incompatible', 'bad');
    const attempt = firstProvider(
      ['cuda', 'cpu'],
      (provider) => (provider === 'cuda' ? Promise.reject(bad) : create(provider)),
      explain,
    );
    await expect(attempt).rejects.toBe(bad);
    expect(tried).toEqual([]);
  });

  it('knows what is built for each platform', () => {
    expect(defaultProviders('linux', 'x64')).toEqual(['cuda', 'cpu']);
    expect(defaultProviders('linux', 'arm64')).toEqual(['cpu']);
    expect(defaultProviders('darwin', 'arm64')).toEqual(['coreml', 'cpu']);
    expect(defaultProviders('win32', 'x64')).toEqual(['dml', 'cpu']);
  });
});

describe('explainProviderFailure', () => {
  it.each([
    [
      'no available backend found. ERR: [dml] backend not found.',
      /^This build of ONNX Runtime has no dml on \w+-\w+\.$/,
    ],
    ['[ONNXRuntimeError] : 1 : FAIL : CUDA failure 35: no device\nat x', /^CUDA failure 35: no device\.$/],
    ['/src/context.cc:100 Initialize() status == Success was false. No adapters.', /^No adapters\.$/],
    [
      '/o/cuda_call.cc:154 std::conditional_t<THRW, void> CudaCall(ERRTYPE) [with ERRTYPE = cudaError] CUDA failure 35: driver is too old ; GPU=-1 ; hostname=h ; file=/o/x.cc',
      /^CUDA failure 35: driver is too old\.$/,
    ],
    [
      '/o/core/graph/graph.cc:9 onnxruntime::Graph::Graph(const Model&, std::map<char, int>&, f(int), bool) const [with T = a] A tensor (0 bytes) lacks its type.\n',
      /^A tensor \(0 bytes\) lacks its type\.$/,
    ],
    ['/o/graph.cc:5 void onnxruntime::Graph::Load() Missing opset.', /^Missing opset\.$/],
    [
      'tensorprotoutils.cc:95 ValidateSize Initializer "a": size (4 bytes) is wrong',
      /^Initializer "a": size \(4 bytes\) is wrong\.$/,
    ],
    [`Node input '${'x'.repeat(1e6)}' is no input`, /^Node input 'x{300,500}…\.$/],
    ['', /^It failed without saying why\.$/],
  ])('makes one sentence of %j', (message, expected) => {
    expect(explainProviderFailure('dml', new Error(message))).toMatch(expected);
  });
});
