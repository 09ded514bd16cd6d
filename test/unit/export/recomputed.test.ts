/** Kept set, loss rate and bits, computed again from the columns of exports alone. */
import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { patchesCsv, patchesJson } from '../../../src/export/patches';
import { tokenizationNpz } from '../../../src/export/npz';
import type { ExportedTokenization } from '../../../src/export/tokens';
import { maskBits, selectKept } from '../../../src/method/filter';
import { budgetOf } from '../../../src/method/settings';
import { distortionWeights, rankSequentially, roundsOf } from '../../../src/method/sequential';
import { costOf } from '../../../src/method/streams';
import type { FilterSettings, RankingCriterion } from '../../../src/method/types';
import { modelWith } from '../model';
import { tinyTokenization } from './tokenization';

const grid = { rows: 6, columns: 8 };
const patches = 48;
const globalTokens = 2;
const entropyBits = Float32Array.from({ length: patches }, (_, i) => ((i * 29) % 47) / 4);
const errors = Float32Array.from({ length: patches }, (_, i) => 1 + ((i * 17) % 31));

/** The visible share v takes 0.6·v of every hidden patch's bits. */
function given(visible: Uint8Array): Float32Array {
  const known = visible.reduce((sum, each) => sum + each, 0) / patches;
  return entropyBits.map((bits, i) => (visible[i] === 1 ? 0 : bits * (1 - 0.6 * known)));
}

async function exported(settings: FilterSettings): Promise<ExportedTokenization> {
  const { model: tiny, image, tokens, reconstruction } = tinyTokenization;
  const model = modelWith(
    { ...tiny, grid, imageSize: { width: 64, height: 48 }, referenceBudgetBits: 150 },
    { globalTokens, patchTokens: patches, filters: true },
  );
  const layout = { grid, tiles: image.tiles };
  const weigh =
    settings.ranking === 'distortion'
      ? (visible: Uint8Array) =>
          Promise.resolve(
            distortionWeights(
              errors.map((error, i) => (visible[i] === 1 ? 0 : error)),
              new Float32Array(patches),
              visible,
            ),
          )
      : undefined;
  const estimate = (visible: Uint8Array) => Promise.resolve(given(visible));
  const ranking = await rankSequentially(entropyBits, estimate, grid, 0.5, roundsOf(settings), weigh);
  const selection = selectKept(ranking, settings.lossRate, budgetOf(settings, model, layout));
  return {
    model,
    image: { ...image, grid, width: 64, height: 48, rgb: new Uint8Array(64 * 48 * 3) },
    tokens: {
      ...tokens,
      patchCodes: Int32Array.from({ length: patches }, (_, i) => i % 6),
      entropyBits,
      surprisalBits: entropyBits,
      expectedCodes: new Float32Array(patches * model.expectedDimensions),
    },
    ranking,
    reconstruction: {
      ...reconstruction,
      ...selection,
      settings,
      ...costOf(model, image.tiles, { ...selection, length: 1 }),
      actualLossRate: selection.lostBits / selection.budgetBits,
      maskBits: maskBits(patches, selection.keptTokens),
    },
    timings: {},
  };
}

/** The columns of one patch, however they are exported. */
interface Row {
  readonly priority: number;
  readonly round: number;
  readonly givenBits: number;
  readonly rank: number;
  readonly lostBits: number;
  readonly kept: boolean;
}

function fromCsv(result: ExportedTokenization): Row[] {
  const [header = '', ...lines] = patchesCsv(result).trimEnd().split('\n');
  const names = header.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    const cell = (name: string) => Number(cells[names.indexOf(name)]);
    return {
      ...{ priority: cell('priority'), round: cell('round'), givenBits: cell('given_bits') },
      rank: cell('rank'),
      lostBits: cell('lost_bits'),
      kept: cell('kept') === 1,
    };
  });
}

interface JsonExport {
  readonly settings: { readonly lossRate: number; readonly rankingRounds?: number };
  readonly budgetBits: number;
  readonly lostBits: number;
  readonly patches: Row[];
}

/** By the letter of the format: the data are the last values of the file. */
function fromNpz(result: ExportedTokenization): Row[] {
  const files = unzipSync(tokenizationNpz('cat.png', result));
  const dataOf = (name: string, bytesEach: number) => {
    const file = files[`${name}.npy`];
    if (file === undefined) throw new Error(`no ${name}`);
    return new DataView(file.slice(file.length - patches * bytesEach).buffer);
  };
  const [priority, round, givenBits] = [dataOf('priority', 8), dataOf('round', 4), dataOf('given_bits', 8)];
  const [ranks, lost, keep] = [dataOf('rank', 4), dataOf('lost_bits', 8), dataOf('keep', 1)];
  return Array.from({ length: patches }, (_, i) => ({
    priority: priority.getFloat64(8 * i, true),
    round: round.getInt32(4 * i, true),
    givenBits: givenBits.getFloat64(8 * i, true),
    rank: ranks.getInt32(4 * i, true),
    lostBits: lost.getFloat64(8 * i, true),
    kept: keep.getUint8(i) === 1,
  }));
}

const cases: readonly [RankingCriterion, Partial<FilterSettings>][] = [
  ['distortion', {}],
  ['distortion', { budget: 'reference', lossRate: 0.9 }],
  ['distortion', { rankingRounds: 16 }],
  ['distortion', { lossRate: 0 }],
  ['sequential', {}],
];

describe('the columns of exports', () => {
  it.each(cases)('give rank, kept set, loss rate and bits of a ranking by %s again, %o', async (ranking, changes) => {
    const settings: FilterSettings = { lossRate: 0.6, edgePriority: 0.5, budget: 'image', ranking, ...changes };
    const result = await exported(settings);
    const json = JSON.parse(patchesJson('cat.png', result)) as JsonExport;
    expect(json.settings.rankingRounds).toBe(roundsOf(settings));
    for (const rows of [fromCsv(result), json.patches, fromNpz(result)]) {
      const inOrder = [...rows].sort((a, b) => b.rank - a.rank);
      expect(inOrder.map(({ rank }) => rank)).toEqual(Array.from({ length: patches }, (_, m) => patches - m));
      const lost = inOrder.map(({ lostBits }) => lostBits);
      expect(lost).toEqual([...lost].sort((a, b) => a - b));
      const budget = settings.budget === 'image' ? (lost.at(-1) ?? NaN) : json.budgetBits;
      expect(budget).toBeCloseTo(json.budgetBits, 9);
      const kept = rows.filter((row) => settings.lossRate === 0 || row.lostBits > settings.lossRate * budget);
      expect(rows.filter((row) => row.kept)).toEqual(kept);
      const bits = Math.max(0, ...rows.filter((row) => !row.kept).map(({ lostBits }) => lostBits));
      const { reconstruction: r } = result;
      expect(bits).toBe(json.lostBits);
      expect(bits / budget).toBeCloseTo(r.actualLossRate, 12);
      expect(bits).toBeLessThanOrEqual(settings.lossRate * budget);
      expect((globalTokens + kept.length) * Math.log2(6)).toBeCloseTo(r.payloadBits, 9);
    }
    expect(json.patches.some(({ kept }) => kept)).toBe(true);
  });

  it.each<RankingCriterion>(['entropy', 'sequential', 'distortion'])(
    'give the rank by %s from round and priority',
    async (ranking) => {
      const result = await exported({ lossRate: 0.6, edgePriority: 0.5, budget: 'image', ranking });
      const json = JSON.parse(patchesJson('cat.png', result)) as JsonExport;
      for (const rows of [fromCsv(result), json.patches, fromNpz(result)]) {
        const byRank = [...rows].sort((a, b) => a.rank - b.rank);
        // Equal priorities are told apart by their places.
        const sorted = byRank.map(({ round, priority }) => [round, -priority]);
        expect(sorted).toEqual([...sorted].sort(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d));
        expect(new Set(rows.map(({ round }) => round)).size).toBe(roundsOf({ ranking, rankingRounds: undefined }));
        if (ranking === 'distortion') continue;
        const edges = rows.map((_, i) => i < 8 || i >= 40 || i % 8 === 0 || i % 8 === 7);
        rows.forEach((row, i) => expect(row.priority).toBeCloseTo(row.givenBits + (edges[i] === true ? 0.5 : 0), 5));
      }
    },
  );

  it('hold the bits that the entropy model tells of what is hidden, round by round', async () => {
    const result = await exported({ lossRate: 0.6, edgePriority: 0.5, budget: 'image', ranking: 'distortion' });
    const rows = fromCsv(result);
    // Two rounds: the first reveals 48/16 patches, and every other is ranked given these.
    const visible = Uint8Array.from(rows, ({ rank }) => Number(rank <= 3));
    const second = given(visible);
    for (const { rank, lostBits } of rows.filter((row) => row.rank > 3)) {
      const sum = rows.reduce((bits, row, i) => bits + (row.rank >= rank ? (second[i] ?? NaN) : 0), 0);
      expect(lostBits).toBeCloseTo(sum, 4);
    }
    const all = entropyBits.reduce((sum, bits) => sum + bits, 0);
    expect(Math.max(...rows.map(({ lostBits }) => lostBits))).toBeCloseTo(all, 4);
  });
});
