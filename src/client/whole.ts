import type { LoadedModel, TokenizeParams } from '../protocol/engineMessages';
import type { Tokenization } from '../method/types';
import type { InferenceClient } from './client';

/** Tokens and their reconstruction under the settings given, for whoever shows nothing before all is known. */
export async function tokenizeWhole(
  inference: Pick<InferenceClient, 'tokenize' | 'reconstruct'>,
  params: TokenizeParams,
): Promise<Tokenization & LoadedModel> {
  const { settings, ...tokenized } = await inference.tokenize(params);
  const { choice, file } = params;
  const { tokens, image } = tokenized;
  const picture = { image, ...(image.reduction > 1 && { file }) };
  const { timings, ...reconstruction } = await inference.reconstruct({ choice, tokens, ...picture, settings });
  return { ...tokenized, reconstruction, timings: { ...tokenized.timings, ...timings } };
}
