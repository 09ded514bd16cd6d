import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { GatheredGraphs, type PipelineGraphs } from '../../../src/engine/gatheredGraphs';
import type { Codes, DecoderInput } from '../../../src/engine/graphs';

/** Graphs that keep what they were run on: an image's codes are its first byte, decoded it is that byte again. */
function recordingGraphs() {
  const runs: [string, number[]][] = [];
  const code = ({ globalCodes }: Codes) => Number(globalCodes[0]);
  const estimates = { entropyBits: new Float32Array(), surprisalBits: new Float32Array() };
  const graphs: PipelineGraphs = {
    tokenizesAtOnce: false,
    encodeAll: async (batch) => {
      runs.push(['encode', batch.map(([byte = NaN]) => byte)]);
      if (batch.some(([byte]) => byte === 99)) throw new Error('99');
      return batch.map(([byte = NaN]) => ({
        globalCodes: Int32Array.of(byte),
        patchCodes: new Int32Array(),
        otherCodes: [],
      }));
    },
    tokenizeAll: () => Promise.reject(new Error('not used')),
    estimateEntropies: async (batch) => {
      runs.push(['entropy', batch.map(({ codes }) => code(codes))]);
      return batch.map(({ codes }) => ({ ...estimates, expectedCodes: Float32Array.of(code(codes) / 2) }));
    },
    decodeAll: async (batch) => {
      runs.push(['decode', batch.map(({ codes }) => code(codes))]);
      return batch.map(({ expectedCodes }) => Uint8Array.from(expectedCodes, (each) => 2 * each));
    },
    attend: async () => new Float32Array(),
    release: async () => undefined,
  };
  return { runs, graphs };
}

const keep = new Uint8Array();

async function throughAll(graphs: GatheredGraphs, byte: number, delay = 0): Promise<number> {
  const [codes] = await graphs.encodeAll([Uint8Array.of(byte)]);
  await wait(delay);
  if (codes === undefined) throw new Error('no codes');
  const [estimate] = await graphs.estimateEntropies([{ codes, visible: keep }]);
  const input: DecoderInput = { codes, expectedCodes: estimate?.expectedCodes ?? new Float32Array(), keep };
  const [pixels] = await graphs.decodeAll([input]);
  return pixels?.[0] ?? NaN;
}

describe('gathered graphs', () => {
  it('run once for all pictures, which get their own answers, however long each takes between', async () => {
    const { runs, graphs } = recordingGraphs();
    const gathered = new GatheredGraphs(graphs, 3);
    const settled = await gathered.forEach([5, 6, 7], (byte) => throughAll(gathered, byte, (9 - byte) * 5));
    expect(settled.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as unknown)))).toEqual([
      5, 6, 7,
    ]);
    expect(runs.map(([graph]) => graph)).toEqual(['encode', 'entropy', 'decode']);
    // Calls may come in another order than pictures.
    expect(runs.map(([, batch]) => batch.toSorted())).toEqual([
      [5, 6, 7],
      [5, 6, 7],
      [5, 6, 7],
    ]);
  });

  it('run on as many images every time: the last again where there are fewer, in several runs where there are more', async () => {
    const { runs, graphs } = recordingGraphs();
    const gathered = new GatheredGraphs(graphs, 2);
    await gathered.forEach([1], (byte) => throughAll(gathered, byte));
    await gathered.forEach([1, 2, 3], (byte) => gathered.encodeAll([Uint8Array.of(byte)]));
    expect(runs).toEqual([
      ...(['encode', 'entropy', 'decode'] as const).map((graph) => [graph, [1, 1]]),
      ['encode', [1, 2]],
      ['encode', [3, 3]],
    ]);
  });

  it('go on with the others when a picture fails or is done earlier', async () => {
    const { runs, graphs } = recordingGraphs();
    const gathered = new GatheredGraphs(graphs, 3);
    const settled = await gathered.forEach([1, 2, 3], async (byte) => {
      if (byte === 1) throw new Error('broken');
      if (byte === 2) return (await gathered.encodeAll([Uint8Array.of(byte)])).length;
      return throughAll(gathered, byte, 20);
    });
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(runs).toEqual([
      ['encode', [2, 3, 3]],
      ['entropy', [3, 3, 3]],
      ['decode', [3, 3, 3]],
    ]);
  });

  it('fail for all pictures of a run that fails, and can be used again', async () => {
    const { graphs } = recordingGraphs();
    const gathered = new GatheredGraphs(graphs, 2);
    const failed = await gathered.forEach([1, 99], (byte) => throughAll(gathered, byte));
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = await gathered.forEach([1, 2], (byte) => throughAll(gathered, byte));
    expect(again.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  });
});
