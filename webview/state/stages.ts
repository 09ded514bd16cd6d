import type { Stage } from '../../src/tokenizer/types';

/** Stages as the user reads them while they run. */
export const stageNames: Record<Stage, string> = {
  load: 'loading model',
  read: 'reading image',
  encode: 'encoding',
  entropy: 'estimating entropy',
  filter: 'filtering tokens',
  decode: 'decoding',
  metrics: 'measuring',
};
