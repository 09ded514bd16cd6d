/** Requests one at a time: sessions block the thread anyway, and a batch in memory is enough. */
export class Turns {
  private readonly waiting: Record<Urgency, (() => void)[]> = { soon: [], long: [] };
  private busy = false;

  /** Resolves when it is one's turn; {@link give} ends it. */
  async take(urgency: Urgency): Promise<void> {
    if (this.busy) await new Promise<void>((resolve) => this.waiting[urgency].push(resolve));
    this.busy = true;
  }

  /** Hands the turn on: to those of few batches first. */
  give(): void {
    const next = this.waiting.soon.shift() ?? this.waiting.long.shift();
    if (next === undefined) this.busy = false;
    else next();
  }

  /** Between the batches of a long request: resolves when all that cannot wait for its end is done. */
  async letIn(): Promise<void> {
    if (this.waiting.soon.length === 0) return;
    // The first of the long ones again: nothing that was begun waits for what was not.
    const back = new Promise<void>((resolve) => this.waiting.long.unshift(resolve));
    this.give();
    await back;
  }
}

/** Whether a request takes a batch or a few, or may take minutes: then others are let in between its batches. */
export type Urgency = 'soon' | 'long';
