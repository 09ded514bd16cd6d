import { LRUCache } from 'lru-cache';
import type { FailedProvider, LoadedChoice, ModelChoice } from '../protocol/engineMessages';
import { readBundle, type Bundle } from '../bundle/manifest';
import type { StageClock } from './stages';
import type { ProviderName } from '../method/types';
import { loadBundle, type RunningModel } from './loadModel';

/** Two models side by side is what a comparison needs. */
const keptModels = 2;

/** A bundle, its name among those kept, and its manifest as text that is equal for equal manifests. */
export type KeyedBundle = Bundle & { readonly key: string; readonly manifestText: string };

export interface ModelsListener {
  /** Told of what goes wrong without failing a request. */
  readonly log?: ((text: string) => void) | undefined;
  /** Told of every model that is loaded. */
  readonly onLoaded?: ((loaded: LoadedChoice) => void) | undefined;
}

/** Models that stay loaded, the most recent ones. None is released while it is used. */
export class RunningModels {
  private readonly kept = new LRUCache<string, RunningModel>({
    max: keptModels,
    dispose: (model) => this.retire(model),
  });
  /** How many requests under way use a model. */
  private readonly users = new Map<RunningModel, number>();
  /** Models that are no longer kept but still used. */
  private readonly retired = new Set<RunningModel>();
  /** Providers of a choice that failed in an earlier process, and why. */
  private readonly excluded = new Map<string, Map<ProviderName, string>>();

  /** @param onOpening waited for before sessions are opened on a provider. */
  constructor(
    private readonly listener: ModelsListener,
    private readonly onOpening: (choice: ModelChoice, provider: ProviderName) => Promise<void>,
  ) {}

  /** Keeps a provider from being tried for a choice. */
  excludeProvider({ choice, provider, reason }: FailedProvider): void {
    const key = choiceKey(choice);
    this.excluded.set(key, (this.excluded.get(key) ?? new Map<ProviderName, string>()).set(provider, reason));
  }

  /**
   * The bundle of a choice as its folder has it now: one whose manifest changed is another model.
   *
   * @throws TatokError of the bundle's files.
   */
  async bundle(choice: ModelChoice): Promise<KeyedBundle> {
    const bundle = await readBundle(choice.directory);
    const manifestText = JSON.stringify(bundle.manifest);
    return { ...bundle, manifestText, key: JSON.stringify([choiceKey(choice), manifestText]) };
  }

  /**
   * The sessions of a bundle, created if they are not among those kept, and then kept until their user leaves.
   *
   * @throws whatever {@link loadBundle} does.
   */
  async use(bundle: KeyedBundle, choice: ModelChoice, clock: StageClock): Promise<RunningModel> {
    const { key } = bundle;
    const running =
      this.kept.get(key) ??
      // A request that was let in meanwhile may have loaded it.
      (await clock.run('load', async () => this.kept.get(key) ?? this.load(bundle, choice)));
    this.users.set(running, (this.users.get(running) ?? 0) + 1);
    return running;
  }

  /** Ends a use. */
  leave(model: RunningModel): void {
    const left = (this.users.get(model) ?? 1) - 1;
    if (left > 0) this.users.set(model, left);
    else this.users.delete(model);
    if (this.retired.has(model)) this.retire(model);
  }

  private async load(bundle: KeyedBundle, choice: ModelChoice): Promise<RunningModel> {
    const running = await loadBundle(bundle, choice, this.excluded.get(choiceKey(choice)), (provider) =>
      this.onOpening(choice, provider),
    );
    this.kept.set(bundle.key, running);
    this.listener.onLoaded?.({ choice, ...running.loaded });
    return running;
  }

  /** Releases a model that is no longer kept, once nobody uses it. */
  private retire(model: RunningModel): void {
    if (this.users.has(model)) {
      this.retired.add(model);
      return;
    }
    this.retired.delete(model);
    model.tatok
      .release()
      .catch((error: unknown) => this.listener.log?.(`A model could not be released: ${String(error)}`));
  }
}

/** A name for what a model's sessions depend on besides the files in its folder. */
function choiceKey({ directory, providers, cudaDevice, cudaMemoryLimit, threads }: ModelChoice): string {
  return JSON.stringify([directory, providers, cudaDevice, cudaMemoryLimit, threads]);
}
