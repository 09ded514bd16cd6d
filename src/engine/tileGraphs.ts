/** A model's graphs on the tiles of a picture: their inputs cut out of values of the whole grid, in batches that fit. */
import { streamOf, type KeptSet } from '../method/streams';
import {
  estimatedTokens,
  expectedWidth,
  newCodes,
  type Codes,
  type DecoderInput,
  type EntropyEstimate,
  type EntropyInput,
} from './graphs';
import type { PipelineGraphs } from './gatheredGraphs';
import type { StageClock } from './stages';
import type { Tiling } from './tiles';
import type { CodeArray, ModelDescription, Stage, Tokens } from '../method/types';

/** How many times all tiles were taken before, of how many. */
export interface Passes {
  readonly done: number;
  readonly total: number;
}

const once: Passes = { done: 0, total: 1 };

export class TileGraphs {
  /** @param batch most model images that go through a graph at once. */
  constructor(
    private readonly model: ModelDescription,
    private readonly graphs: PipelineGraphs,
    private readonly batch: number,
  ) {}

  /** ĥ, surprisal and E_q[z] of each, N values, N values and N·d values. */
  estimate(inputs: readonly EntropyInput[]): Promise<EntropyEstimate[]> {
    return this.inBatches(inputs, (batch) => this.graphs.estimateEntropies(batch));
  }

  /** Width·height·3 sRGB bytes of each. */
  decode(inputs: readonly DecoderInput[]): Promise<Uint8Array[]> {
    return this.inBatches(inputs, (batch) => this.graphs.decodeAll(batch));
  }

  /** All tiles, batch by batch; none spans two rows of tiles. The clock's observer may stop between them. */
  forAll(
    tiling: Tiling,
    stage: Stage,
    clock: StageClock,
    work: (tiles: readonly number[]) => Promise<void>,
  ): Promise<void> {
    return this.forBatches(tiling.batches(this.batch), tiling, stage, clock, once, work);
  }

  /** Some tiles of any rows, in ascending order, batch by batch; the clock's observer may stop between them. */
  forSome(
    tiles: readonly number[],
    tiling: Tiling,
    stage: Stage,
    clock: StageClock,
    passes: Passes,
    work: (tiles: readonly number[]) => Promise<void>,
  ): Promise<void> {
    return this.forBatches(slices(tiles, this.batch), tiling, stage, clock, passes, work);
  }

  /** One tile of a kept set. */
  decoderInput(
    codes: Codes,
    { expectedCodes }: Pick<Tokens, 'expectedCodes'>,
    { keep, length }: Pick<KeptSet, 'keep' | 'length'>,
    tiling: Tiling,
    tile: number,
  ): DecoderInput {
    const numbers = this.model.filters ? expectedWidth(this.model) * estimatedTokens(this.model) : 0;
    return {
      codes: this.codesOf(codes, tiling, tile),
      expectedCodes: tiling.gather(expectedCodes, tile, new Float32Array(numbers)),
      keep: this.maskOf(keep, tiling, tile),
      length,
    };
  }

  /** The codes of one tile out of a whole picture's. */
  codesOf({ globalCodes, patchCodes, otherCodes }: Codes, tiling: Tiling, tile: number): Codes {
    const ofTile = (codes: CodeArray) => {
      const length = codes.length / tiling.count;
      return codes.slice(tile * length, (tile + 1) * length);
    };
    const patches = streamOf(this.model, 'patch');
    return {
      globalCodes: ofTile(globalCodes),
      patchCodes: patches === undefined ? patchCodes : tiling.gather(patchCodes, tile, newCodes(patches)),
      otherCodes: otherCodes.map(ofTile),
    };
  }

  /** The visible or kept tokens of one tile out of a whole picture's. */
  maskOf(mask: Uint8Array, tiling: Tiling, tile: number): Uint8Array {
    return tiling.gather(mask, tile, new Uint8Array(mask.length === 0 ? 0 : estimatedTokens(this.model)));
  }

  /** Several kept sets or replaced tokens of several tiles are more images than may go through a graph at once. */
  private async inBatches<Input, Output>(
    inputs: readonly Input[],
    run: (batch: readonly Input[]) => Promise<Output[]>,
  ): Promise<Output[]> {
    const outputs: Output[] = [];
    for (const batch of slices(inputs, this.batch)) outputs.push(...(await run(batch)));
    return outputs;
  }

  private async forBatches(
    batches: Iterable<readonly number[]>,
    { count }: Tiling,
    stage: Stage,
    clock: StageClock,
    passes: Passes,
    work: (tiles: readonly number[]) => Promise<void>,
  ): Promise<void> {
    for (const tiles of batches) {
      const progress = { done: count * passes.done + (tiles[0] ?? 0), total: count * passes.total };
      await clock.run(stage, () => work(tiles), count === 1 ? undefined : progress);
    }
  }
}

/** Calls back for what stands at the same place in both. */
export function zip<A, B>(a: readonly A[], b: readonly B[], visit: (a: A, b: B) => void): void {
  b.forEach((value, i) => {
    const other = a[i];
    if (other !== undefined) visit(other, value);
  });
}

function* slices<Value>(values: readonly Value[], most: number): Generator<readonly Value[]> {
  for (let first = 0; first < values.length; first += most) yield values.slice(first, first + most);
}
