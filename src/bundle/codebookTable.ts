/** The vectors of a codebook, out of the NumPy array that its bundle keeps them in. */
import { TatokError } from '../method/errors';
import type { NearEntry } from '../method/types';
import { readNpy } from '../method/npy';
import type { Manifest } from './formatTwo';
import { readVerified } from './verify';

export class CodebookTable {
  /** @param vectors row by row, `size`·`dimensions` numbers. */
  constructor(
    private readonly vectors: Float32Array,
    private readonly dimensions: number,
  ) {}

  get size(): number {
    return this.vectors.length / this.dimensions;
  }

  /** The entries of least Euclidean distance from an entry, the nearest first, the entry itself left out. */
  nearest(code: number, count: number): NearEntry[] {
    const squares = Float64Array.from({ length: this.size }, (_, other) => this.squaredDistance(code, other));
    const others = Array.from(squares.keys()).filter((other) => other !== code);
    return others
      .sort((a, b) => (squares[a] ?? 0) - (squares[b] ?? 0) || a - b)
      .slice(0, count)
      .map((other) => ({ code: other, distance: Math.sqrt(squares[other] ?? 0) }));
  }

  private squaredDistance(a: number, b: number): number {
    let sum = 0;
    for (let d = 0; d < this.dimensions; d++) {
      const difference = (this.vectors[a * this.dimensions + d] ?? 0) - (this.vectors[b * this.dimensions + d] ?? 0);
      sum += difference * difference;
    }
    return sum;
  }
}

/**
 * The table of a stream's codebook; undefined where its bundle has none.
 *
 * @param stream by its name in the manifest.
 * @throws TatokError model-file-corrupt for another file than the manifest lists; model-invalid for one that is not the table it promises.
 */
export async function readTable(
  directory: string,
  { streams, codebooks, files }: Pick<Manifest, 'streams' | 'codebooks' | 'files'>,
  stream: string,
): Promise<CodebookTable | undefined> {
  const codebook = codebooks[streams.find(({ name }) => name === stream)?.codebook ?? ''];
  if (codebook?.kind !== 'vq' || codebook.file === undefined || codebook.dimensions === undefined) return undefined;
  const { file, size, dimensions } = codebook;
  const bytes = await readVerified(directory, files, file);
  const refuse = (reason: string) =>
    new TatokError('model-invalid', `${file} is not the table of ${size} vectors of ${dimensions} numbers: ${reason}.`);
  try {
    const { shape, values } = readNpy(bytes);
    if (typeof values === 'string' || shape[0] !== size || shape[1] !== dimensions || shape.length !== 2) {
      throw refuse(`its shape is [${shape.join(', ')}]`);
    }
    return new CodebookTable(Float32Array.from(values), dimensions);
  } catch (error) {
    if (error instanceof RangeError) throw refuse(error.message);
    throw error;
  }
}
