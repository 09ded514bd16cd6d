import type { ModelChoice } from '../protocol/engineMessages';
import type { StageObserver } from './stages';
import type { ProviderName } from '../method/types';
import { failedWhileRunning } from './failedWhileRunning';
import type { RunningModel } from './loadModel';
import type { ProviderWatch } from './providerWatch';
import type { RunningModels } from './runningModels';
import { Turns, type Urgency } from './turns';

/** One request under way. */
export interface Run {
  readonly choice: ModelChoice;
  /** The request's own, which lets others in. */
  readonly observer: StageObserver;
  /** What it runs on, once that is known. */
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
   * @throws ProviderFailed where another provider may do what the one in use failed at; otherwise what `work` does.
   */
  async inTurn<Result>(
    choice: ModelChoice,
    urgency: Urgency,
    observer: StageObserver,
    work: (run: Run) => Promise<Result>,
  ): Promise<Result> {
    const run: Run = {
      choice,
      observer: async (stage, tiles) => {
        if (urgency === 'long') await this.turns.letIn();
        await observer(stage, tiles);
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
