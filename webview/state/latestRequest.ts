import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc/browser';

export interface Pace {
  /** Wait until nothing newer was asked for so long. */
  readonly delayMs: number;
  /** Let a running request finish before the next starts (every answer is shown), rather than cancel it. */
  readonly finishRunning: boolean;
}

/** A stream of requests of which only the newest matters: older ones are cancelled or replaced, their answers dropped. */
export class LatestRequest<Params, Result> {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: CancellationTokenSource | undefined;
  private next: Params | undefined;

  constructor(
    private readonly send: (params: Params, token: CancellationToken) => Promise<Result>,
    private readonly deliver: (result: Result) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  ask(params: Params, pace: Pace): void {
    clearTimeout(this.timer);
    if (this.running !== undefined && pace.finishRunning) {
      this.next = params;
      return;
    }
    this.stop();
    if (pace.delayMs === 0) void this.start(params);
    else this.timer = setTimeout(() => void this.start(params), pace.delayMs);
  }

  /** Ends what is running or waiting; its answer no longer matters. */
  stop(): void {
    clearTimeout(this.timer);
    this.running?.cancel();
    this.running = undefined;
    this.next = undefined;
  }

  private async start(params: Params): Promise<void> {
    const source = new CancellationTokenSource();
    this.running = source;
    try {
      const result = await this.send(params, source.token);
      if (this.running === source) this.deliver(result);
    } catch (error) {
      if (this.running === source) this.fail(error);
    }
    if (this.running !== source) return;
    this.running = undefined;
    const { next } = this;
    this.next = undefined;
    if (next !== undefined) void this.start(next);
  }
}
