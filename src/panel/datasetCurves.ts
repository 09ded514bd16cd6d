/**
 * Rate and distortion over ε of a random sample of a data set's images. Each point is a decoding, so that a curve of all images would take many
 * times as long as their tokens; a sample of some images tells the mean within a fraction of their spread.
 */
import type { CancellationToken } from 'vscode-jsonrpc/node';
import type { Inference } from '../host/sharedInference';
import { TatokError } from '../method/errors';
import type { DatasetRow, ImageCurve, SampledCurves } from '../protocol/dataset';
import type { DatasetDocument } from './datasetDocument';

/** Images of the sample: the error of a mean is a quarter of the spread over images. */
export const sampleSize = 16;

/** ε of the points: closer where most tokens go. */
export const sampledRates = [0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] as const;

/**
 * A sample that is the same in every run, and whose files differ: those with the smallest hashes. SHA-256 of a file is as good as a random
 * number, whatever is in the picture and wherever it lies.
 */
export function sampleOf(rows: Iterable<DatasetRow>, size: number): DatasetRow[] {
  const byId = new Map<string, DatasetRow>();
  for (const row of rows) if (row.id !== null && row.error === null && !byId.has(row.id)) byId.set(row.id, row);
  return [...byId]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, size)
    .map(([, row]) => row);
}

/** @param onCurve told of all curves so far after each. @throws TatokError of the model, the files or the process. */
export async function measureSample(
  document: Pick<DatasetDocument, 'rows' | 'maker' | 'input'>,
  inference: Pick<Inference, 'open'>,
  token: CancellationToken,
  onCurve: (curves: SampledCurves) => void,
): Promise<SampledCurves> {
  const sample = sampleOf(document.rows.values(), sampleSize);
  const { choice, settings, loaded } = await document.maker(token);
  if (!loaded.model.filters) {
    throw new TatokError('bad-settings', `${loaded.model.name} drops no tokens: there is one rate.`);
  }
  const curves: ImageCurve[] = [];
  const measured = () => ({ wanted: sample.length, curves: [...curves] });
  for (const { index } of sample) {
    const file = await (await document.input(index)).read();
    const picture = await inference.open({ choice, file, settings, cropMode: 'centre' }, { token });
    try {
      const points = await picture.analyses.measure({ settings, lossRates: [...sampledRates] }, { token });
      curves.push({
        index,
        points: points.map(({ lossRate, totalTokens, payloadBits, maskBits, psnr }) => ({
          lossRate,
          tokens: totalTokens,
          bits: payloadBits + maskBits,
          psnr,
        })),
      });
    } finally {
      picture.close();
    }
    onCurve(measured());
  }
  return measured();
}
