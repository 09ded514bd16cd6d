/** Stages of the pipeline: what runs, how long it took, and where it may be cancelled. */
import { setImmediate } from 'node:timers/promises';
import type { Stage, StageTimings, TileProgress } from '../method/types';

/**
 * Called before every stage, and before every batch of tiles of one, after pending messages were handled; the pipeline waits
 * for what it returns, and throwing stops it there.
 */
export type StageObserver = (stage: Stage, tiles?: TileProgress) => void | Promise<void>;

/** Runs stages one after another and keeps their milliseconds. */
export class StageClock {
  private readonly elapsed: Partial<Record<Stage, number>> = {};

  constructor(private readonly observer: StageObserver = () => undefined) {}

  /** Milliseconds of the stages that ran. */
  get timings(): StageTimings {
    return { ...this.elapsed };
  }

  async run<Result>(stage: Stage, work: () => Result | Promise<Result>, tiles?: TileProgress): Promise<Result> {
    // ONNX Runtime blocks the thread while it runs: a cancellation that arrived meanwhile is only seen after a turn of the loop.
    await setImmediate();
    await this.observer(stage, tiles);
    const start = performance.now();
    const result = await work();
    this.elapsed[stage] = (this.elapsed[stage] ?? 0) + performance.now() - start;
    return result;
  }
}
