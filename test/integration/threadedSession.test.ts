/** A session in another thread answers as one in the same thread does, and the graphs decode batches with it. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { build } from '../../esbuild.mjs';
import { cudaDirectoryVariable } from '../../src/cuda/environment';
import { loadBundle } from '../../src/engine/loadModel';
import { ThreadedSession } from '../../src/engine/thread/threadedSession';
import { Graphs, type Sessions } from '../../src/engine/graphs';
import { readBundle } from '../../src/bundle/manifest';
import type { GraphSession } from '../../src/engine/thread/graphSession';
import type { ModelDescription } from '../../src/method/types';

const tiny = join(import.meta.dirname, '../fixtures/bundles/tiny');
const graph = (name: string) => join(tiny, `${name}.onnx`);
const read = async (name: string) => ({ bytes: new Uint8Array(await readFile(graph(name))), externalData: [] });
const outdir = join(import.meta.dirname, '../../.cache/integration/threadedSession');
const modulePath = join(outdir, 'sessionThread.js');
const openThreaded = () => read('decoder').then((decoder) => ThreadedSession.open(modulePath, decoder, {}));

let model: ModelDescription;
let own: InferenceSession;
let threaded: GraphSession;

beforeAll(async () => {
  await build({ only: ['sessionThread'], outdir });
  ({ model } = await readBundle(tiny));
  own = await InferenceSession.create(graph('decoder'));
  threaded = await openThreaded();
});

afterAll(() => Promise.all([own.release(), threaded.release()]));

/** Some images whose codes are all `code`. */
function feeds(code: number, count = 2): Record<string, Tensor> {
  const { globalTokens, patchTokens, expectedDimensions } = model;
  const filled = (tokens: number) => new Tensor('int32', new Int32Array(count * tokens).fill(code), [count, tokens]);
  const expected = new Float32Array(count * patchTokens * expectedDimensions).map((_, i) => Math.sin(i + code));
  const keep = new Uint8Array(count * patchTokens).map((_, i) => i % 2);
  return {
    global_codes: filled(globalTokens),
    patch_codes: filled(patchTokens),
    expected_code: new Tensor('float32', expected, [count, patchTokens, expectedDimensions]),
    keep: new Tensor('bool', keep, [count, patchTokens]),
  };
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a session in a thread of its own', () => {
  it('promises the inputs and outputs that the graph has', () => {
    expect(threaded.inputMetadata).toEqual(own.inputMetadata);
    expect(threaded.outputMetadata).toEqual(own.outputMetadata);
  });

  it('returns the same, bit for bit, and leaves its inputs usable', async () => {
    const given = feeds(3);
    const once = await threaded.run(given, ['image']);
    expect(once).toEqual(await own.run(given, ['image']));
    expect(await threaded.run(given, ['image'])).toEqual(once);
  });

  it('takes arrays that are part of larger memory', async () => {
    const whole = feeds(5);
    const apart = Object.entries(whole).map(([name, tensor]) => {
      const data = tensor.data as Float32Array | Int32Array | Uint8Array;
      const type = data.constructor as new (length: number) => typeof data;
      const larger = new type(3 * data.length);
      larger.set(data, data.length);
      return [name, new Tensor(tensor.type, larger.subarray(data.length, 2 * data.length), tensor.dims)] as const;
    });
    expect(await threaded.run(Object.fromEntries(apart), ['image'])).toEqual(await own.run(whole, ['image']));
  });

  it('fails a run with the error of ONNX Runtime, and goes on', async () => {
    const { keep: _, ...lacking } = feeds(3);
    const wrong = { ...feeds(3), keep: new Tensor('bool', new Uint8Array(3), [1, 3]) };
    for (const given of [lacking, wrong]) {
      const [expected, actual] = [
        await failureOf(own.run(given, ['image'])),
        await failureOf(threaded.run(given, ['image'])),
      ];
      if (!(expected instanceof Error) || !(actual instanceof Error)) throw new TypeError('no error');
      expect(actual.message).toBe(expected.message);
    }
    expect(await threaded.run(feeds(3), ['image'])).toEqual(await own.run(feeds(3), ['image']));
  });

  it('answers runs that are asked for at the same time in order, each with its own', async () => {
    const counts = [5, 1, 3, 2];
    const order: number[] = [];
    const outputs = await Promise.all(
      counts.map(async (count) => {
        const output = await threaded.run(feeds(count, count), ['image']);
        order.push(count);
        return output;
      }),
    );
    expect(order).toEqual(counts);
    for (const [i, count] of counts.entries()) {
      expect(outputs[i]).toEqual(await own.run(feeds(count, count), ['image']));
    }
  });

  it('is released after the runs under way, and then runs nothing', async () => {
    for (let time = 0; time < 5; time++) {
      const session = await openThreaded();
      const running = [session.run(feeds(1), ['image']), session.run(feeds(2), ['image'])];
      await Promise.all([session.release(), session.release()]);
      expect(await Promise.all(running)).toHaveLength(2);
      await expect(session.run(feeds(1), ['image'])).rejects.toThrow('has ended');
      await session.release();
    }
  });

  it('cannot be opened where the graph cannot', async () => {
    const broken = () => ({ bytes: Uint8Array.of(1, 2, 3), externalData: [] });
    const expected = await failureOf(InferenceSession.create(broken().bytes));
    if (!(expected instanceof Error)) throw new TypeError('no error');
    await expect(ThreadedSession.open(modulePath, broken(), {})).rejects.toThrow(expected.message);
    await expect(ThreadedSession.open(join(outdir, 'missing.js'), broken(), {})).rejects.toThrow('missing.js');
  });
});

it('fails what is under way when the thread dies, and whatever is asked later', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tatok-thread-'));
  const dying = join(directory, 'dying.cjs');
  await writeFile(
    dying,
    `const { parentPort } = require('node:worker_threads');
     parentPort.on('message', () => process.exit(3));
     parentPort.postMessage({ kind: 'open', metadata: { inputMetadata: [], outputMetadata: [] } });`,
  );
  const session = await ThreadedSession.open(dying, await read('decoder'), {});
  expect(session.ended).toBe(false);
  const running = [1, 2].map((code) => failureOf(session.run(feeds(code), ['image'])));
  const later = Promise.all(running).then(() => failureOf(session.run(feeds(1), ['image'])));
  for (const error of [...(await Promise.all(running)), await later]) {
    expect(error).toMatchObject({ message: 'The session’s thread has ended with exit status 3.' });
  }
  expect(session.ended).toBe(true);
  await session.release();
  await rm(directory, { recursive: true });
});

describe('graphs with a decoder for batches', () => {
  let sessions: Sessions;
  let opened: GraphSession[];

  /** Opens one that is released after the test. */
  const openBatchDecoder = vi.fn(async (name: string) => {
    const session = await ThreadedSession.open(modulePath, await read(name), {});
    opened.push(session);
    return session;
  });
  const input = (code: number) => ({
    codes: {
      globalCodes: new Int32Array(model.globalTokens).fill(code),
      patchCodes: new Int32Array(model.patchTokens).fill(code),
      otherCodes: [],
    },
    expectedCodes: new Float32Array(model.patchTokens * model.expectedDimensions),
    keep: new Uint8Array(model.patchTokens).fill(1),
  });

  beforeAll(async () => {
    sessions = {
      encoder: await InferenceSession.create(graph('encoder')),
      entropy: await InferenceSession.create(graph('entropy')),
      decoder: own,
    };
  });

  beforeEach(() => {
    opened = [];
    openBatchDecoder.mockClear();
  });

  afterEach(() => Promise.all(opened.map((session) => session.release())));

  it('decode several images with it as they do without, and single ones by themselves', async () => {
    const graphs = new Graphs({ ...sessions, openBatchDecoder: () => openBatchDecoder('decoder') }, model, 'cpu');
    const plain = new Graphs(sessions, model, 'cpu');
    expect([graphs.decodesBatchesAside, plain.decodesBatchesAside]).toEqual([true, false]);
    const decoder = vi.spyOn(own, 'run');
    const { codes, expectedCodes, keep } = input(1);
    const alone = await graphs.decode(codes, expectedCodes, keep);
    expect(openBatchDecoder).not.toHaveBeenCalled();
    expect(decoder).toHaveBeenCalledOnce();
    const [few, more] = await Promise.all([
      graphs.decodeAll([1, 4].map(input)),
      graphs.decodeAll([7, 4, 1].map(input)),
    ]);
    expect(openBatchDecoder).toHaveBeenCalledOnce();
    expect(decoder).toHaveBeenCalledOnce();
    expect(few).toEqual(await plain.decodeAll([1, 4].map(input)));
    expect(more).toEqual(await plain.decodeAll([7, 4, 1].map(input)));
    expect(few[0]).toEqual(alone);
    decoder.mockRestore();
  });

  it('say that the decoder failed where it cannot be opened, and try again', async () => {
    openBatchDecoder.mockRejectedValueOnce(new Error('out of memory'));
    const graphs = new Graphs({ ...sessions, openBatchDecoder: () => openBatchDecoder('decoder') }, model, 'cpu');
    await expect(graphs.decodeAll([1, 4].map(input))).rejects.toMatchObject({
      code: 'inference-failed',
      message: 'The decoder graph could not be run: out of memory.',
    });
    expect(await graphs.decodeAll([1, 4].map(input))).toHaveLength(2);
  });

  it('refuse one that is another graph', async () => {
    const graphs = new Graphs({ ...sessions, openBatchDecoder: () => openBatchDecoder('encoder') }, model, 'cpu');
    await expect(graphs.decodeAll([1, 4].map(input))).rejects.toMatchObject({ code: 'model-incompatible' });
  });

  it('have it on CUDA alone', async () => {
    const create = InferenceSession.create.bind(InferenceSession);
    const onCpu = (file: string) => create(file, { executionProviders: ['cpu'] });
    const spy = vi.spyOn(InferenceSession, 'create').mockImplementation(onCpu as typeof InferenceSession.create);
    vi.stubEnv(cudaDirectoryVariable, tiny);
    const bundle = await readBundle(tiny);
    const aside = ['cuda', 'cpu'].map(async (provider) => {
      const { graphs } = await loadBundle(bundle, { directory: tiny, providers: [provider] });
      await graphs.release();
      return graphs.decodesBatchesAside;
    });
    expect(await Promise.all(aside)).toEqual([true, false]);
    spy.mockRestore();
    vi.unstubAllEnvs();
  });
});
