/** What the inference process does for its clients: models kept loaded, requests one after another. */
import type {
  AttentionParams,
  DecodedPicture,
  FailedProvider,
  InfluenceParams,
  LoadedModel,
  MeasureParams,
  ModelChoice,
  ProviderInUse,
  RankParams,
  ReconstructParams,
  TokenizeParams,
} from '../protocol/engineMessages';
import type { Reconstructed } from './pipeline';
import { resolveSettings } from '../method/settings';
import { StageClock, type StageObserver } from './stages';
import type {
  AttentionMap,
  InfluenceMap,
  Measurement,
  ShownImage,
  Ranking,
  StageTimings,
  Tokenized,
} from '../method/types';
import type { RunningModel } from './loadModel';
import { Memo, type RankedTokens, type TimedRanking } from './memo';
import { Pictures } from './pictures';
import { ProviderWatch } from './providerWatch';
import { Requests, type Run } from './requests';
import { RunningModels, type KeyedBundle, type ModelsListener } from './runningModels';
import type { Urgency } from './turns';

/** The model of a request, its name among those kept, and what loading it took just now. */
type ChosenModel = RunningModel & { readonly key: string; readonly timings: StageTimings };

/** What a service tells of itself. */
export interface ServiceListener extends ModelsListener {
  /** Waited for before the native code of another provider runs, or of none. */
  readonly noteProvider?: ((inUse: ProviderInUse | undefined) => Promise<void>) | undefined;
}

export class InferenceService {
  private readonly models: RunningModels;
  private readonly requests: Requests;
  private readonly memo = new Memo();
  private readonly pictures = new Pictures();

  constructor(listener: ServiceListener = {}) {
    const watch = new ProviderWatch(listener.noteProvider ?? (() => Promise.resolve()));
    this.models = new RunningModels(listener, (choice, provider) => watch.opening(choice, provider));
    this.requests = new Requests(this.models, watch);
  }

  /** Keeps a provider from being tried for a choice. */
  excludeProvider(failed: FailedProvider): void {
    this.models.excludeProvider(failed);
  }

  /** Loads a model, unless it is loaded. */
  loadModel(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.requests.inTurn(choice, 'soon', observer, async (run) => (await this.model(run)).loaded);
  }

  /** Tokens of an image file. @param onPicture told of the picture once it is decoded. */
  tokenize(
    params: TokenizeParams,
    observer: StageObserver,
    onPicture: (picture: DecodedPicture) => void = () => undefined,
  ): Promise<Tokenized & LoadedModel> {
    const { choice, file, settings: given, ...options } = params;
    const urgency = params.cropMode === 'tiles' ? 'long' : 'soon';
    return this.requests.inTurn(choice, urgency, observer, async (run) => {
      const bundle = await this.models.bundle(choice);
      const { model } = bundle;
      const settings = resolveSettings(given, model);
      const { picture, image, timings: reading } = await this.pictures.read(file, model, options, run.observer);
      onPicture({ image, model, settings });
      const { tatok, loaded, timings: loading } = await this.running(bundle, run);
      const result = await tatok.tokenize(picture, image, settings, run.observer);
      return { ...result, ...loaded, timings: { ...reading, ...loading, ...result.timings } };
    });
  }

  /** The order in which tokens are dropped. */
  rank(params: RankParams, observer: StageObserver): Promise<Ranking> {
    return this.requests.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(run);
      return (await this.ranking(model, params, run)).ranking;
    });
  }

  /** The picture of the tokens that are kept. */
  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.requests.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(run);
      const { tokens, image, settings } = params;
      const ranked = await this.rankingIfAny(model, params, run);
      const picture = await this.pictures.of(params, model.loaded.model, run.observer);
      const result = await model.tatok.reconstruct(tokens, image, picture, settings, ranked.ranking, run.observer);
      return { ...result, timings: { ...model.timings, ...ranked.timings, ...result.timings } };
    });
  }

  /** Rate and distortion at some loss rates. Only what was not measured before is. */
  measure(params: MeasureParams, observer: StageObserver): Promise<readonly Measurement[]> {
    return this.requests.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(run);
      const { tokens, image, settings } = params;
      return this.memo.measured(model.key, params, async (missing) => {
        const { ranking } = await this.rankingIfAny(model, params, run);
        const picture = await this.pictures.of(params, model.loaded.model, run.observer);
        return model.tatok.measure(tokens, image, picture, settings, missing, ranking, run.observer);
      });
    });
  }

  /** What a global token changes in the reconstruction. */
  influence(params: InfluenceParams, observer: StageObserver): Promise<InfluenceMap> {
    return this.requests.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const { tokens, image, settings, tile, globalToken } = params;
      const model = await this.model(run);
      return this.memo.influence(
        model.key,
        params,
        async () => {
          const { ranking } = await this.rankingIfAny(model, params, run);
          return model.tatok.render(tokens, image, tile, settings, ranking, run.observer);
        },
        (reference) => model.tatok.influence(tokens, image, tile, settings, globalToken, reference, run.observer),
      );
    });
  }

  /** Where the global tokens look. */
  attention(params: AttentionParams, observer: StageObserver): Promise<AttentionMap> {
    return this.requests.inTurn(params.choice, 'soon', observer, async (run) => {
      const { image, tile, layer, head } = params;
      const { key, loaded, tatok } = await this.model(run);
      const rgb = tatok.tile(await this.pictures.of(params, loaded.model, run.observer), tile);
      const weights = await this.memo.attention(key, rgb, () =>
        new StageClock(run.observer).run('encode', () => tatok.attend(rgb)),
      );
      return tatok.attentionOf(weights, image, tile, layer, head);
    });
  }

  /** What a reconstruction is filtered by: nothing where the model can drop nothing. */
  private async rankingIfAny(
    model: ChosenModel,
    params: RankedTokens,
    run: Run,
  ): Promise<TimedRanking | { readonly ranking: undefined; readonly timings: StageTimings }> {
    return model.loaded.model.filters ? this.ranking(model, params, run) : { ranking: undefined, timings: {} };
  }

  private ranking(model: ChosenModel, params: RankedTokens, run: Run): Promise<TimedRanking> {
    return this.memo.ranking(model.key, params, async () => {
      const { tokens, image, settings } = params;
      const byDistortion = settings.ranking === 'distortion';
      const picture = byDistortion ? await this.pictures.of(params, model.loaded.model, run.observer) : image;
      return model.tatok.rank(tokens, picture, settings, run.observer);
    });
  }

  private async model(run: Run): Promise<ChosenModel> {
    return this.running(await this.models.bundle(run.choice), run);
  }

  /** The sessions of a bundle, which the request uses until it ends. */
  private async running(bundle: KeyedBundle, run: Run): Promise<ChosenModel> {
    const clock = new StageClock(run.observer);
    run.model = await this.models.use(bundle, run.choice, clock);
    return { ...run.model, key: bundle.key, timings: clock.timings };
  }
}

/** Tiles go batch by batch, for minutes where there are many. */
function urgencyOf({ tiles }: ShownImage): Urgency {
  return tiles.rows * tiles.columns > 1 ? 'long' : 'soon';
}
