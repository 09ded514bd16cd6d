/** Codes of dropped patches, drawn from the entropy model: what the picture might be, for all that the kept tokens tell. */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { TatokError } from '../method/errors';
import { drawCode, levelProbabilities, probingCodes } from '../method/sampling';
import { streamOf } from '../method/streams';
import type { DrawnCodes, ModelDescription } from '../method/types';
import type { Codes } from './graphs';
import type { StageClock } from './stages';
import type { TileGraphs } from './tileGraphs';
import type { Tiling } from './tiles';

/**
 * z_i ~ q(· | G, Z_S) for every dropped patch i. q factorises over patches, so each is drawn given the kept ones alone. One seed gives the
 * same codes every time on one provider.
 *
 * @param codes of the whole picture.
 * @param keep N values, 1 = kept.
 * @param seed a whole number of 32 bits.
 * @throws TatokError bad-settings for a model whose patches have no codes of finite scalar quantisation and an entropy model of these.
 */
export async function drawCodes(
  model: ModelDescription,
  graphs: TileGraphs,
  { codes, keep, tiling }: { readonly codes: Codes; readonly keep: Uint8Array; readonly tiling: Tiling },
  seed: number,
  clock: StageClock,
): Promise<DrawnCodes> {
  const stream = streamOf(model, 'patch');
  if (!model.filters || stream?.codebook.kind !== 'fsq' || stream.shape.length > 1) {
    throw new TatokError(
      'bad-settings',
      `Codes cannot be sampled: ${model.name} has no entropy model of patches with one code of finite scalar quantisation each.`,
    );
  }
  const { levels } = stream.codebook;
  const probes = probingCodes(levels);
  const surprisals = probes.map(() => new Float32Array(tiling.patches));
  await graphs.forAll(tiling, 'entropy', clock, async (tiles) => {
    for (const tile of tiles) {
      const visible = graphs.maskOf(keep, tiling, tile);
      const own = graphs.codesOf(codes, tiling, tile);
      const known = Int32Array.from(own.patchCodes, Number);
      // Codes of hidden patches change their own surprisal and no estimate.
      const estimates = await graphs.estimate(
        probes.map((probe) => ({
          codes: { ...own, patchCodes: known.map((code, i) => (visible[i] === 1 ? code : probe)) },
          visible,
        })),
      );
      estimates.forEach(({ surprisalBits }, i) => {
        const whole = surprisals[i];
        if (whole !== undefined) tiling.scatter(surprisalBits, tile, whole);
      });
    }
  });
  const random = xoroshiro128plus(seed);
  const dropped = Uint32Array.from(keep.keys()).filter((patch) => keep[patch] === 0);
  const drawn = Int32Array.from(dropped, (patch) => {
    const bits = surprisals.map((each) => each[patch] ?? NaN);
    return drawCode(levelProbabilities(bits, levels), () => uniformFloat64(random));
  });
  return { patches: dropped, codes: drawn };
}
