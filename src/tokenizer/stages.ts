/** Stages of the pipeline: what runs, how long it took, and where it may be cancelled. */
import { setImmediate } from 'node:timers/promises';
import type { Stage, StageTimings } from './types';

/** Called before every stage, after pending messages were handled; throwing stops the pipeline there. */
export type StageObserver = (stage: Stage) => void;

/** Runs stages one after another and keeps their milliseconds. */
export class StageClock {
  private readonly elapsed: Partial<Record<Stage, number>> = {};

  constructor(private readonly observer: StageObserver = () => undefined) {}

  /** Milliseconds of the stages that ran. */
  get timings(): StageTimings {
    return { ...this.elapsed };
  }

  async run<Result>(stage: Stage, work: () => Result | Promise<Result>): Promise<Result> {
    // ONNX Runtime blocks the thread while it runs: a cancellation that arrived meanwhile is only seen after a turn of the loop.
    await setImmediate();
    this.observer(stage);
    const start = performance.now();
    const result = await work();
    this.elapsed[stage] = (this.elapsed[stage] ?? 0) + performance.now() - start;
    return result;
  }
}
