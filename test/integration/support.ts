import { join } from 'node:path';
import { build } from '../../esbuild.mjs';
import type { InferenceService } from '../../src/engine/engine';
import { tokenizeWhole } from '../../src/client/whole';
import type { LoadedModel, TokenizeParams } from '../../src/protocol/engineMessages';
import type { StageObserver } from '../../src/engine/stages';
import type { Tokenization } from '../../src/method/types';

const root = join(import.meta.dirname, '../..');

export const modelDirectory = join(root, 'models/tatok-s-256');

/** A photograph of 768×512 pixels that ships with the project. */
export const sample = (name: string) => join(root, 'media/samples', name);

/** Bundles the command line and the inference process for one test file; the folder of both. */
export async function bundleFor(test: string): Promise<string> {
  const outdir = join(root, '.cache/integration', test);
  await build({ only: ['cli', 'inference'], outdir });
  return outdir;
}

/** Tokens and reconstruction by a service in this process. */
export function tokenizeIn(
  service: InferenceService,
  params: TokenizeParams,
  observer: StageObserver = () => undefined,
): Promise<Tokenization & LoadedModel> {
  return tokenizeWhole(
    {
      tokenize: (all) => service.tokenize({ ...all }, observer),
      reconstruct: (all) => service.reconstruct({ ...all }, observer),
    },
    params,
  );
}
