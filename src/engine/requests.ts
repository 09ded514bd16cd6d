import type { CancellationToken } from 'vscode-jsonrpc/node';
import type { Call } from '../protocol/analyses';
import type { ModelChoice } from '../protocol/engineMessages';
import { TatokError } from '../method/errors';
import type { ProviderName } from '../method/types';
import { failedWhileRunning } from './failedWhileRunning';
import type { RunningModel } from './loadModel';
import type { ProviderWatch } from './providerWatch';
import type { RunningModels } from './runningModels';
import type { StageObserver } from './stages';
import { Turns, type Urgency } from './turns';

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
