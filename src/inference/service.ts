/** What the inference process does for its clients: models kept loaded, requests one after another. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AttentionParams,
  FailedProvider,
  InfluenceParams,
  LoadedChoice,
  LoadedModel,
  MeasureParams,
  DecodedPicture,
  ModelChoice,
  ProviderInUse,
  RankParams,
  ReconstructParams,
  TokenizedPicture,
  TokenizeParams,
} from '../protocol/inference';
import { TatokError } from '../tokenizer/errors';
import { readBundle, type Bundle } from '../tokenizer/manifest';
import { readPicture, shownImage } from '../tokenizer/picture';
import type { Reconstructed, Rendered } from '../tokenizer/pipeline';
import { resolveSettings } from '../tokenizer/settings';
import { StageClock, type StageObserver } from '../tokenizer/stages';
import type {
  AttentionMap,
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelImage,
  Picture,
  ProviderName,
  Ranking,
  StageTimings,
  Tokenized,
  Tokens,
} from '../tokenizer/types';
import { explainProviderFailure } from './failureReasons';
import { loadBundle, type RunningModel } from './loadModel';
import { Lru } from './lru';
import { ProviderFailed } from './providerFailed';
import { mayFallBack } from './providers';
import { ProviderWatch } from './providerWatch';
import { Turns, type Urgency } from './turns';

/** Two models side by side is what a comparison needs. */
const keptModels = 2;
/** An attention tensor has about a megabyte; these are the images whose layers and heads are being browsed. */
const keptAttentions = 4;
/**
 * A sequential ranking costs fifteen estimates and a few kilobytes (two megabytes at 50 megapixels); with it a released slider costs
 * only a decoding.
 */
const keptRankings = 32;
/** Some hundred bytes each: the rate–distortion curves of a session. */
const keptMeasurements = 2048;
/** A kilobyte each: the maps of all global tokens under some kept sets. */
const keptInfluences = 512;
/** A large picture has three bytes a pixel; only the one that is being looked at is kept. */
const keptPictures = 1;

type KeyedBundle = Bundle & { readonly key: string };

/** What is ranked: tokens of a picture, under some settings. */
type Ranked = Pick<RankParams, 'tokens' | 'image' | 'file' | 'settings'>;

/** The model of a request, its name among those kept, and what loading it took just now. */
type ChosenModel = RunningModel & { readonly key: string; readonly timings: StageTimings };

/** What a service tells of itself. */
export interface ServiceListener {
  /** Told of what goes wrong without failing a request. */
  readonly log?: ((text: string) => void) | undefined;
  /** Told of every model that is loaded. */
  readonly onLoaded?: ((loaded: LoadedChoice) => void) | undefined;
  /** Waited for before the native code of another provider runs, or of none. */
  readonly noteProvider?: ((inUse: ProviderInUse | undefined) => Promise<void>) | undefined;
}

/** One request under way. */
interface Run {
  /** The request's own, which lets others in. */
  readonly observer: StageObserver;
  /** What it runs on, once that is known. */
  model: { readonly key: string; readonly running: RunningModel } | undefined;
}

export class InferenceService {
  private readonly bundles = new Lru<string, KeyedBundle>(keptModels);
  private readonly models = new Lru<string, RunningModel>(keptModels, (model) => this.retire(model));
  /** How many requests under way use a model. */
  private readonly users = new Map<RunningModel, number>();
  /** Models that are no longer kept but still used. */
  private readonly retired = new Set<RunningModel>();
  /** Providers of a choice that failed in an earlier process, and why. */
  private readonly ruledOut = new Map<string, Map<ProviderName, string>>();
  private readonly attentions = new Lru<string, Float32Array>(keptAttentions);
  private readonly rankings = new Lru<string, Ranking>(keptRankings);
  private readonly measurements = new Lru<string, Measurement>(keptMeasurements);
  private readonly influences = new Lru<string, InfluenceMap>(keptInfluences);
  /** What influence is a change of; all tokens of one image share it. */
  private readonly references = new Lru<string, Rendered>(2);
  private readonly pictures = new Lru<string, Picture>(keptPictures);
  private readonly turns = new Turns();
  private readonly watch: ProviderWatch;

  constructor(private readonly listener: ServiceListener = {}) {
    this.watch = new ProviderWatch(listener.noteProvider ?? (() => Promise.resolve()));
  }

  /** Keeps a provider from being tried for a choice. */
  ruleOut({ choice, provider, reason }: FailedProvider): void {
    const key = keyOf(choice);
    this.ruledOut.set(key, (this.ruledOut.get(key) ?? new Map<ProviderName, string>()).set(provider, reason));
  }

  loadModel(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.inTurn(choice, 'soon', observer, async (run) => (await this.model(choice, run)).loaded);
  }

  /** @param onPicture told of the picture once it is decoded. */
  tokenize(
    params: TokenizeParams,
    observer: StageObserver,
    onPicture: (picture: DecodedPicture) => void = () => undefined,
  ): Promise<Tokenized & LoadedModel> {
    const urgency = params.cropMode === 'tiles' ? 'long' : 'soon';
    return this.inTurn(params.choice, urgency, observer, async (run) => {
      const bundle = await this.bundle(params.choice);
      const { model } = bundle;
      const { file, settings: given, ...options } = params;
      const settings = resolveSettings(given, model);
      const read = await readPicture(file, model, options, run.observer);
      const image = shownImage(read.picture, model);
      onPicture({ image, model, settings });
      if (image.reduction > 1) this.pictures.set(pictureKey(file, image), read.picture);
      const { tatok, loaded, timings } = await this.running(bundle, params.choice, run);
      const result = await tatok.tokenize(read.picture, image, settings, run.observer);
      return { ...result, ...loaded, timings: { ...read.timings, ...timings, ...result.timings } };
    });
  }

  rank(params: RankParams, observer: StageObserver): Promise<Ranking> {
    return this.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(params.choice, run);
      return (await this.ranking(model, params, run)).ranking;
    });
  }

  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(params.choice, run);
      const { tokens, image, settings } = params;
      const ranked = await this.rankingIfAny(model, params, run);
      const picture = await this.picture(params, model, run);
      const result = await model.tatok.reconstruct(tokens, image, picture, settings, ranked.ranking, run.observer);
      return { ...result, timings: { ...model.timings, ...ranked.timings, ...result.timings } };
    });
  }

  /** Only what was not measured before is. */
  measure(params: MeasureParams, observer: StageObserver): Promise<readonly Measurement[]> {
    return this.inTurn(params.choice, urgencyOf(params.image), observer, async (run) => {
      const model = await this.model(params.choice, run);
      const { tokens, image, settings, lossRates } = params;
      const rankedAs = rankingKey(model.key, image, tokens, settings);
      const original = hashOf(image.rgb);
      const measuredAs = (lossRate: number) => JSON.stringify([rankedAs, original, settings.budget, lossRate]);
      const known = new Map(lossRates.map((lossRate) => [lossRate, this.measurements.get(measuredAs(lossRate))]));
      const missing = lossRates.filter((lossRate) => known.get(lossRate) === undefined);
      if (missing.length > 0) {
        const { ranking } = await this.rankingIfAny(model, params, run);
        const picture = await this.picture(params, model, run);
        const measured = await model.tatok.measure(tokens, image, picture, settings, missing, ranking, run.observer);
        for (const measurement of measured) {
          this.measurements.set(measuredAs(measurement.lossRate), measurement);
          known.set(measurement.lossRate, measurement);
        }
      }
      return lossRates.flatMap((lossRate) => known.get(lossRate) ?? []);
    });
  }

  influence(params: InfluenceParams, observer: StageObserver): Promise<InfluenceMap> {
    return this.inTurn(params.choice, 'soon', observer, async (run) => {
      const { tokens, image, settings, tile, globalToken } = params;
      const model = await this.model(params.choice, run);
      const rankedAs = rankingKey(model.key, image, tokens, settings);
      const filteredAs = JSON.stringify([rankedAs, settings.budget, settings.lossRate, tile]);
      const influenceKey = JSON.stringify([filteredAs, globalToken]);
      const known = this.influences.get(influenceKey);
      if (known !== undefined) return known;
      let reference = this.references.get(filteredAs);
      if (reference === undefined) {
        const { ranking } = await this.rankingIfAny(model, params, run);
        reference = await model.tatok.render(tokens, image, tile, settings, ranking, run.observer);
        this.references.set(filteredAs, reference);
      }
      const map = await model.tatok.influence(tokens, image, tile, settings, globalToken, reference, run.observer);
      this.influences.set(influenceKey, map);
      return map;
    });
  }

  attention(params: AttentionParams, observer: StageObserver): Promise<AttentionMap> {
    return this.inTurn(params.choice, 'soon', observer, async (run) => {
      const { image, tile, layer, head } = params;
      const model = await this.model(params.choice, run);
      const { tatok } = model;
      const rgb = tatok.tile(await this.picture(params, model, run), tile);
      const imageKey = `${model.key}\0${hashOf(rgb)}`;
      let weights = this.attentions.get(imageKey);
      if (weights === undefined) {
        weights = await new StageClock(run.observer).run('encode', () => tatok.attend(rgb));
        this.attentions.set(imageKey, weights);
      }
      return tatok.attentionOf(weights, image, tile, layer, head);
    });
  }

  /** All pixels of what was tokenized: those of the image itself, or of its file decoded again. */
  private async picture(
    { image, file }: TokenizedPicture,
    { loaded }: RunningModel,
    { observer }: Run,
  ): Promise<Picture> {
    if (image.reduction === 1) return image;
    if (file === undefined) throw new RangeError('a reduced image comes with its file');
    const key = pictureKey(file, image);
    const kept = this.pictures.get(key);
    if (kept !== undefined) return kept;
    const { picture } = await readPicture(file, loaded.model, { cropMode: image.cropMode }, observer);
    this.pictures.set(key, picture);
    return picture;
  }

  /** What a reconstruction is filtered by: nothing where the model can drop nothing. */
  private async rankingIfAny(
    model: ChosenModel,
    params: Ranked,
    run: Run,
  ): Promise<{ readonly ranking: Ranking | undefined; readonly timings: StageTimings }> {
    if (!model.loaded.model.filters) return { ranking: undefined, timings: {} };
    return this.ranking(model, params, run);
  }

  /** The order of dropping, computed unless it was before. */
  private async ranking(
    model: ChosenModel,
    params: Ranked,
    run: Run,
  ): Promise<{ readonly ranking: Ranking; readonly timings: StageTimings }> {
    const { tokens, image, settings } = params;
    const rankedAs = rankingKey(model.key, image, tokens, settings);
    const known = this.rankings.get(rankedAs);
    if (known !== undefined) return { ranking: known, timings: {} };
    const picture = settings.conditioning === 'distortion' ? await this.picture(params, model, run) : image;
    const ranked = await model.tatok.rank(tokens, picture, settings, run.observer);
    this.rankings.set(rankedAs, ranked.ranking);
    return ranked;
  }

  private async model(choice: ModelChoice, run: Run): Promise<ChosenModel> {
    return this.running(await this.bundle(choice), choice, run);
  }

  /** The bundle of a choice as its folder has it now: one whose manifest changed is another model. */
  private async bundle(choice: ModelChoice): Promise<KeyedBundle> {
    const manifest = await readFile(join(choice.directory, 'manifest.json'), 'utf8').catch(() => '');
    const key = JSON.stringify([keyOf(choice), manifest]);
    const kept = this.bundles.get(key);
    if (kept !== undefined) return kept;
    const bundle = { ...(await readBundle(choice.directory)), key };
    this.bundles.set(key, bundle);
    return bundle;
  }

  /** The sessions of a bundle, created if they are not among those kept, and then kept while the request runs. */
  private async running(bundle: KeyedBundle, choice: ModelChoice, run: Run): Promise<ChosenModel> {
    const { key } = bundle;
    const clock = new StageClock(run.observer);
    const running =
      this.models.get(key) ??
      // Whoever was let in meanwhile may have loaded it.
      (await clock.run('load', async () => this.models.get(key) ?? this.load(bundle, choice)));
    run.model = { key, running };
    this.users.set(running, (this.users.get(running) ?? 0) + 1);
    return { ...running, key, timings: clock.timings };
  }

  private async load(bundle: KeyedBundle, choice: ModelChoice): Promise<RunningModel> {
    const running = await loadBundle(bundle, choice, this.ruledOut.get(keyOf(choice)), (provider) =>
      this.watch.opening(choice, provider),
    );
    this.models.set(bundle.key, running);
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

  private leave(run: Run): void {
    if (run.model === undefined) return;
    const { running } = run.model;
    const left = (this.users.get(running) ?? 1) - 1;
    if (left > 0) this.users.set(running, left);
    else this.users.delete(running);
    if (this.retired.has(running)) this.retire(running);
    run.model = undefined;
  }

  /**
   * Sessions block the thread anyway, so requests run one after another; one of many batches lets others in between them. A
   * model is never released under a running request.
   *
   * @throws ProviderFailed where another provider may do what the one in use failed at; otherwise what `work` does.
   */
  private async inTurn<Result>(
    choice: ModelChoice,
    urgency: Urgency,
    observer: StageObserver,
    work: (run: Run) => Promise<Result>,
  ): Promise<Result> {
    const run: Run = {
      observer: async (stage, tiles) => {
        if (urgency === 'long') await this.turns.letIn();
        await observer(stage, tiles);
        await this.watch.running(choice, run.model?.running.loaded.provider.provider, stage);
      },
      model: undefined,
    };
    await this.turns.take(urgency);
    try {
      return await work(run);
    } catch (error) {
      throw this.providerFailure(choice, run, error) ?? error;
    } finally {
      this.leave(run);
      this.turns.give();
    }
  }

  /** Undefined for what no other provider would do better. The CPU is the last resort. */
  private providerFailure(choice: ModelChoice, { model }: Run, error: unknown): ProviderFailed | undefined {
    if (!(error instanceof TatokError) || error.code !== 'inference-failed' || model === undefined) return undefined;
    const { provider } = model.running.loaded.provider;
    if (provider === 'cpu' || !mayFallBack(choice.providers, provider)) return undefined;
    const cause = error.cause ?? error;
    const reason = `It failed while running: ${explainProviderFailure(provider, cause)}`;
    return new ProviderFailed({ choice, provider, reason }, cause);
  }
}

/** Tiles go batch by batch, for minutes where there are many. */
function urgencyOf({ tiles }: ModelImage): Urgency {
  return tiles.rows * tiles.columns > 1 ? 'long' : 'soon';
}

function keyOf({ directory, providers, cudaDevice, cudaMemoryLimit }: ModelChoice): string {
  return JSON.stringify([directory, providers, cudaDevice, cudaMemoryLimit]);
}

function hashOf(...parts: readonly (Uint8Array | Int32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function pictureKey(file: Uint8Array, { cropMode }: ModelImage): string {
  return `${cropMode}\0${hashOf(file)}`;
}

/** What a ranking depends on: the model, the codes and their grid, β and the conditioning; by distortion also the picture. */
function rankingKey(
  model: string,
  { grid, rgb }: ModelImage,
  { globalCodes, patchCodes }: Tokens,
  { edgePriority, conditioning }: FilterSettings,
): string {
  const codes = hashOf(globalCodes, patchCodes, ...(conditioning === 'distortion' ? [rgb] : []));
  return JSON.stringify([model, grid, codes, edgePriority, conditioning]);
}
