/** Experiments through the real model: forced patches, replaced codes, codes that are drawn, and their token files decoded again. */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { readBundle } from '../../src/bundle/manifest';
import { readTokensNpz, tokenizationNpz } from '../../src/export/npz';
import { readTokenFile, tokensRecord, type ExportedTokenization } from '../../src/export/tokens';
import { loadBundle } from '../../src/engine/loadModel';
import { Engine } from '../../src/engine/engine';
import { force, isEdited, noEdits, replaceCodes, withReplaced, type Edits } from '../../src/method/edits';
import { rankingCriteria, type FilterSettings, type RankingCriterion } from '../../src/method/types';
import type { ModelChoice } from '../../src/protocol/engineMessages';
import { modelDirectory, sample, tokenizeIn } from './support';

const choice: ModelChoice = { directory: modelDirectory, providers: ['cpu'] };
const engine = new Engine();
let result: Awaited<ReturnType<typeof tokenizeIn>>;

const settingsOf = (ranking: RankingCriterion): FilterSettings => ({
  lossRate: 0.6,
  edgePriority: 0,
  budget: 'image',
  ranking,
});

async function exported(settings: FilterSettings, edits: Edits): Promise<ExportedTokenization> {
  const ranking = await result.analyses.rank(settings);
  const { timings: _, ...reconstruction } = await result.analyses.reconstruct({ ...settings, edits });
  return { ...result, ranking, reconstruction, edits };
}

beforeAll(async () => {
  const file = await readFile(sample('kodim23.png'));
  result = await tokenizeIn(engine, { choice, file, settings: settingsOf('entropy') });
});

describe('an experiment', () => {
  it.each(rankingCriteria)(
    'is in its token files, which decode to the same pixels: ranked by %s',
    async (criterion) => {
      const settings = settingsOf(criterion);
      const { keep } = await result.analyses.reconstruct(settings);
      const kept = keep.indexOf(1);
      const forced = force(force(noEdits, [keep.indexOf(0), keep.lastIndexOf(0)], 'keep'), [kept], 'drop');
      const other = keep.lastIndexOf(1);
      const edits = replaceCodes(
        forced,
        [
          { token: 'global', index: 3, code: 12_345 },
          { token: 'patch', index: other, code: 54_321 },
        ],
        result.tokens,
      );
      const tokenization = await exported(settings, edits);
      const { reconstruction } = tokenization;
      expect(reconstruction.keptTokens).toBe(keep.reduce((sum, each) => sum + each, 0) + 1);
      expect([...reconstruction.keep].flatMap((each, i) => (each === keep[i] ? [] : [i]))).toEqual(
        [keep.indexOf(0), keep.lastIndexOf(0), kept].sort((a, b) => a - b),
      );

      const json = readTokenFile('a', JSON.parse(JSON.stringify(tokensRecord(tokenization))), result.model);
      const npz = readTokensNpz('a', tokenizationNpz('kodim23.png', tokenization), result.model);
      for (const { edits: written, note, tokens } of [json, npz]) {
        expect(written).toEqual({
          forcedKept: edits.forcedKept,
          forcedDropped: edits.forcedDropped,
          replaced: [
            { token: 'global', index: 3, original: result.tokens.globalCodes[3] },
            { token: 'patch', index: other, original: result.tokens.patchCodes[other] },
          ],
        });
        expect(note).toBeUndefined();
        const { pictures } = await engine.decodeTokens({ choice, pictures: [tokens] });
        expect(pictures).toEqual([{ width: 256, height: 256, rgb: reconstruction.rgb }]);
      }
    },
  );

  it('changes what it names: each edit alone decodes to another picture, and without edits it is as before', async () => {
    const settings = settingsOf('entropy');
    const before = await result.analyses.reconstruct(settings);
    const kept = before.keep.indexOf(1);
    const dropped = before.keep.indexOf(0);
    const replaced = (token: 'global' | 'patch', index: number) =>
      replaceCodes(noEdits, [{ token, index, code: 4_321 }], result.tokens);
    const pictures = [];
    for (const edits of [
      force(noEdits, [dropped], 'keep'),
      force(noEdits, [kept], 'drop'),
      replaced('global', 0),
      replaced('patch', kept),
    ]) {
      const { rgb, keptTokens, lostBits } = await result.analyses.reconstruct({ ...settings, edits });
      pictures.push(Buffer.from(rgb).toString('base64'));
      const more = edits.forcedKept.length - edits.forcedDropped.length;
      expect(keptTokens - before.keptTokens).toBe(more);
      // In the order by entropy the bits of a patch are its own.
      const bits = more === 0 ? 0 : (result.tokens.entropyBits[more > 0 ? dropped : kept] ?? NaN);
      expect(lostBits).toBeCloseTo(before.lostBits - more * bits, 3);
    }
    const unchanged = Buffer.from(before.rgb).toString('base64');
    expect(new Set([...pictures, unchanged]).size).toBe(5);
    // The code of a patch that is dropped is not decoded.
    const hidden = await result.analyses.reconstruct({ ...settings, edits: replaced('patch', dropped) });
    expect(hidden.rgb).toEqual(before.rgb);
    const { timings: _, ...again } = await result.analyses.reconstruct({ ...settings, edits: noEdits });
    expect({ ...again, timings: before.timings }).toEqual(before);
  });

  it('of another picture or model is refused with a sentence', async () => {
    const request = { ...settingsOf('entropy'), edits: { ...noEdits, forcedKept: [256] } };
    await expect(result.analyses.reconstruct(request)).rejects.toMatchObject({ code: 'bad-message' });
    const code = { ...noEdits, replaced: [{ token: 'patch' as const, index: 0, code: 65_536 }] };
    await expect(result.analyses.reconstruct({ ...settingsOf('entropy'), edits: code })).rejects.toMatchObject({
      code: 'bad-settings',
      message: 'The experiment does not fit tatok-s-256: the code 65536 is not in its codebook of 65536.',
    });
  });

  it('has the influence of global tokens be that under its own kept set and codes', async () => {
    const settings = settingsOf('entropy');
    const request = { settings, tile: 0, globalToken: 1 };
    const before = await result.analyses.influence(request);
    const edits = replaceCodes(noEdits, [{ token: 'global', index: 1, code: 9 }], result.tokens);
    const { change } = await result.analyses.influence({ ...request, edits });
    expect(change).not.toEqual(before.change);
    expect(change).toHaveLength(256);
  });
});

describe('codes that are drawn', () => {
  const settings = { ...settingsOf('entropy'), lossRate: 0.3 };

  it('are of the dropped patches, the same for a seed and others for another', async () => {
    const { keep } = await result.analyses.reconstruct(settings);
    const drawn = await result.analyses.draw({ settings, seed: 7 });
    expect([...drawn.patches]).toEqual([...keep.keys()].filter((patch) => keep[patch] === 0));
    expect(drawn.codes.every((code) => code >= 0 && code < 65_536)).toBe(true);
    expect(await result.analyses.draw({ settings, seed: 7 })).toEqual(drawn);
    expect((await result.analyses.draw({ settings, seed: 8 })).codes).not.toEqual(drawn.codes);
  });

  it('are drawn from q: their surprisals are its entropies, on average', async () => {
    const edits = await drawnEdits(7);
    expect(isEdited(edits)).toBe(true);
    const { keep } = await result.analyses.reconstruct(settings);
    const codes = withReplaced(result.tokens, edits);
    // The graph itself says how surprising the codes are, given what is kept.
    const { graphs } = await loadBundle(await readBundle(modelDirectory), choice);
    const [estimate] = await graphs.estimateEntropies([{ codes, visible: keep }]);
    let [surprisal, entropy, count] = [0, 0, 0];
    keep.forEach((kept, i) => {
      if (kept === 1) return;
      surprisal += estimate?.surprisalBits[i] ?? NaN;
      entropy += estimate?.entropyBits[i] ?? NaN;
      count++;
    });
    expect(count).toBeGreaterThan(50);
    // Within the spread of a mean over so many patches; the model's own codes miss it by more on a picture that it did not see.
    expect(Math.abs(surprisal - entropy) / count).toBeLessThan(0.4);
  });

  async function drawnEdits(seed: number): Promise<Edits> {
    const { patches, codes } = await result.analyses.draw({ settings, seed });
    const replaced = Array.from(patches, (index, i) => ({ token: 'patch' as const, index, code: codes[i] ?? NaN }));
    return replaceCodes(noEdits, replaced, result.tokens);
  }
});
