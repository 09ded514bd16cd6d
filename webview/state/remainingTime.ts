import type { Progress } from '../../src/protocol/analyses';
import type { Stage } from '../../src/method/types';

/** Before this is known, no remaining time is shown. */
const leastElapsedMs = 2000;
/** Tiles of a picture differ in what they cost: the pace is that of the last while. */
const windowMs = 20_000;

/** Tells from progress by tile how long a stage will still take. */
export class RemainingTime {
  private last: Progress | undefined;
  private samples: { readonly at: number; readonly done: number }[] = [];

  /**
   * @param progress the newest; the same again changes nothing.
   * @param now milliseconds.
   * @returns milliseconds; undefined while too little is known.
   */
  estimate(progress: Progress | undefined, now: number): number | undefined {
    const tiles = progress?.tiles;
    if (progress !== this.last) this.note(progress, now);
    const first = this.samples[0];
    const newest = this.samples.at(-1);
    if (tiles === undefined || first === undefined || newest === undefined) return undefined;
    const elapsed = newest.at - first.at;
    if (elapsed < leastElapsedMs) return undefined;
    return (elapsed / (newest.done - first.done)) * (tiles.total - newest.done);
  }

  private note(progress: Progress | undefined, now: number): void {
    const { stage, tiles } = this.last ?? {};
    this.last = progress;
    const done = progress?.tiles?.done;
    const goesOn =
      done !== undefined &&
      progress?.stage === stage &&
      progress?.tiles?.total === tiles?.total &&
      done > (tiles?.done ?? 0);
    if (!goesOn) this.samples = [];
    if (done === undefined) return;
    this.samples.push({ at: now, done });
    // The oldest that stays is a whole window old, so that the pace is never that of less.
    while (now - (this.samples[1]?.at ?? now) > windowMs) this.samples.shift();
  }
}

/** As a person would say it. @param ms milliseconds. */
export function aboutHowLong(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return 'a few seconds left';
  if (seconds < 55) return `about ${10 * Math.round(seconds / 10)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

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
