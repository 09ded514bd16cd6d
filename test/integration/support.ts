import { join } from 'node:path';
import { build } from '../../esbuild.mjs';
import type { Engine } from '../../src/engine/engine';
import type { OpenedPicture } from '../../src/client/client';
import { analysesBy, type Call } from '../../src/protocol/analyses';
import type {
  DecodedPicture,
  LoadedModel,
  OpenedTokens,
  OpenParams,
  OpenTokensParams,
} from '../../src/protocol/engineMessages';
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

let pictures = 0;

/** A picture that is open in an engine of this process, as a client has it. */
export function openIn(
  engine: Engine,
  params: OpenParams,
  onProgress?: Call['onProgress'],
  onPicture?: (picture: DecodedPicture) => void,
): Promise<OpenedPicture> {
  const open: Opening = (number, call, told) => engine.open(number, params, call, told);
  return opening(engine, open, onProgress, onPicture);
}

/** Tokens of a file that are open in an engine of this process, as a client has them. */
export function openTokensIn(
  engine: Engine,
  params: OpenTokensParams,
  onProgress?: Call['onProgress'],
  onPicture?: (picture: DecodedPicture) => void,
): Promise<OpenedPicture> {
  const open: Opening = (number, call, told) => engine.openTokens(number, params, call, told);
  return opening(engine, open, onProgress, onPicture);
}

type Opening = (picture: number, call: Call, onPicture: (picture: DecodedPicture) => void) => Promise<OpenedTokens>;

async function opening(
  engine: Engine,
  open: Opening,
  onProgress: Call['onProgress'],
  onPicture?: (picture: DecodedPicture) => void,
): Promise<OpenedPicture> {
  const picture = ++pictures;
  let decoded: DecodedPicture | undefined;
  const opened = await open(picture, { onProgress }, (told) => {
    decoded = told;
    onPicture?.(told);
  });
  if (decoded === undefined) throw new Error('no picture');
  const { image, settings } = decoded;
  const ask: OpenedPicture['ask'] = (request, call) => engine.analyse(picture, request, call);
  return { ...opened, image, settings, ask, analyses: analysesBy(ask), close: () => engine.close(picture) };
}

/** Tokens, their reconstruction, and what else can be asked of them. */
export async function tokenizeIn(
  engine: Engine,
  params: OpenParams,
  onProgress?: Call['onProgress'],
): Promise<Tokenization & LoadedModel & Pick<OpenedPicture, 'analyses' | 'close'>> {
  const { settings, ask: _, ...opened } = await openIn(engine, params, onProgress);
  const { timings, ...reconstruction } = await opened.analyses.reconstruct(settings, { onProgress });
  return { ...opened, reconstruction, timings: { ...opened.timings, ...timings } };
}
