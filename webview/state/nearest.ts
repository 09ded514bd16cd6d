import { effect, signal } from '@preact/signals';
import type { Analyses } from '../../src/protocol/analyses';
import { streamOf } from '../../src/method/streams';
import type { ModelDescription, NearEntry, Tokens } from '../../src/method/types';
import type { Inspector } from './inspector';
import { LatestRequest } from './latestRequest';

/** The pointer crosses many patches; only one that it rests on is asked about. */
const restMs = 80;

/** What is near to the codes of a patch, in the table of its codebook. */
export interface NearCodes {
  readonly patch: number;
  readonly tokens: Tokens;
  /** One list for each residual code. */
  readonly entries: readonly (readonly NearEntry[])[];
}

/** True if the codes of patches are indices of vectors that the bundle has. */
export function hasTable(model: Pick<ModelDescription, 'streams'>): boolean {
  const codebook = streamOf(model, 'patch')?.codebook;
  return codebook?.kind === 'vq' && codebook.table === true;
}

/** Asks for the entries near to the patch in focus, and returns the last answer. */
export function followNearest(
  { focused, tokenization }: Pick<Inspector, 'focused' | 'tokenization'>,
  analyses: Pick<Analyses, 'nearest'>,
  fail: (error: unknown) => void,
): () => NearCodes | undefined {
  const answer = signal<NearCodes | undefined>(undefined);
  const request = new LatestRequest(
    async ({ patch, tokens }: Omit<NearCodes, 'entries'>, token) => {
      const entries = await analyses.nearest({ patch }, { token });
      return { patch, tokens, entries };
    },
    (near) => (answer.value = near),
    fail,
  );
  effect(() => {
    const [patch, now] = [focused.value, tokenization.value];
    if (patch === undefined || now === undefined || !hasTable(now.model)) {
      request.stop();
      return;
    }
    request.ask({ patch, tokens: now.tokens }, { delayMs: restMs, finishRunning: false });
  });
  return () => {
    const near = answer.value;
    return near?.patch === focused.value && near?.tokens === tokenization.value?.tokens ? near : undefined;
  };
}
