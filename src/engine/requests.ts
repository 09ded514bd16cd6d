import type { CancellationToken } from 'vscode-jsonrpc/node';
import type { Call } from '../protocol/analyses';
import type { ModelChoice } from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import type { ProviderName } from '../method/types';
import { failedWhileRunning, type ProviderWatch } from './providers';
import type { RunningModel } from './loadModel';
import type { RunningModels } from './runningModels';
import type { StageObserver } from './stages';

/** One request under way. */
export interface Run {
  readonly choice: ModelChoice;
  /** Lets others in between batches, stops once the request is cancelled, and reports progress. */
  readonly observer: StageObserver;
  /** The model that it runs on, once that is known. */
  model: RunningModel | undefined;
}

/** Requests one after another, from their turn to the end of their use of a model. */
export class Requests {
  private readonly turns = new Turns();

  constructor(
    private readonly models: Pick<RunningModels, 'leave'>,
    private readonly watch: Pick<ProviderWatch, 'running'>,
  ) {}

  /**
   * Sessions block the thread anyway, so requests run one after another; one of many batches lets others in between them. A
   * model is never released under a running request.
   *
   * @param closing ends the request, as the call's own token does.
   * @throws ProviderFailed where another provider may do what the one in use failed at; TatokError cancelled; otherwise what
   *   `work` throws.
   */
  async inTurn<Result>(
    choice: ModelChoice,
    urgency: Urgency,
    { token, onProgress }: Call = {},
    work: (run: Run) => Promise<Result>,
    closing?: CancellationToken,
  ): Promise<Result> {
    const run: Run = {
      choice,
      observer: async (stage, tiles) => {
        if (urgency === 'long') await this.turns.letIn();
        if (token?.isCancellationRequested === true || closing?.isCancellationRequested === true) {
          throw new TatokError('cancelled', 'The request was cancelled.');
        }
        onProgress?.({ stage, tiles });
        await this.watch.running(choice, providerOf(run), stage);
      },
      model: undefined,
    };
    await this.turns.take(urgency);
    try {
      return await work(run);
    } catch (error) {
      throw failedWhileRunning(choice, providerOf(run), error) ?? error;
    } finally {
      if (run.model !== undefined) this.models.leave(run.model);
      run.model = undefined;
      this.turns.give();
    }
  }
}

function providerOf({ model }: Run): ProviderName | undefined {
  return model?.loaded.provider.provider;
}

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

/** True if a request takes a batch or a few, or may take minutes: then others are let in between its batches. */
export type Urgency = 'soon' | 'long';
