/** Names under which things are kept: equal for what is the same. */
import { createHash } from 'node:crypto';
import type { ModelChoice } from '../protocol/engineMessages';
import type { FilterSettings, ShownImage, Tokens } from '../method/types';

/** What a model's sessions depend on besides the files in its folder. */
export function choiceKey({ directory, providers, cudaDevice, cudaMemoryLimit }: ModelChoice): string {
  return JSON.stringify([directory, providers, cudaDevice, cudaMemoryLimit]);
}

/** What the pixels of a decoded file depend on. */
export function pictureKey(file: Uint8Array, { cropMode }: Pick<ShownImage, 'cropMode'>): string {
  return `${cropMode}\0${hashOf(file)}`;
}

/** What a ranking depends on: the model, the codes and their grid, β and the criterion; by distortion also the picture. */
export function rankingKey(
  model: string,
  { grid, rgb }: ShownImage,
  { globalCodes, patchCodes }: Tokens,
  { edgePriority, ranking }: FilterSettings,
): string {
  const codes = hashOf(globalCodes, patchCodes, ...(ranking === 'distortion' ? [rgb] : []));
  return JSON.stringify([model, grid, codes, edgePriority, ranking]);
}

/** SHA-256 of all parts, one after another. */
export function hashOf(...parts: readonly (Uint8Array | Int32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
