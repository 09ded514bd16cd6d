import type { Stage } from '../../src/method/types';

/** Stages as the user reads them while they run. */
export const stageNames: Record<Stage, string> = {
  read: 'reading image',
  load: 'loading model',
  encode: 'encoding',
  entropy: 'estimating entropy',
  rank: 'ranking patches',
  filter: 'filtering tokens',
  decode: 'decoding',
  metrics: 'measuring',
};
