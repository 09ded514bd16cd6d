/** What the inference process does for its clients: models kept loaded, requests one after another. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AttentionParams,
  InfluenceParams,
  LoadedModel,
  MeasureParams,
  DecodedPicture,
  ModelChoice,
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
import { providerOrder } from './providers';

/** Two models side by side is what a comparison needs. */
const keptModels = 2;
/** An attention tensor has about a megabyte; these are the images whose layers and heads are being browsed. */
const keptAttentions = 4;
/** A sequential ranking costs fifteen estimates and a few kilobytes; with it a released slider costs only a decoding. */
const keptRankings = 32;
/** Some hundred bytes each: the rate–distortion curves of a session. */
const keptMeasurements = 2048;
/** A kilobyte each: the maps of all global tokens under some kept sets. */
const keptInfluences = 512;
/** A large picture has three bytes a pixel; only the one that is being looked at is kept. */
const keptPictures = 1;

type KeyedBundle = Bundle & { readonly key: string };

/** The model of a request, its name among those kept, and what loading it took just now. */
type ChosenModel = RunningModel & { readonly key: string; readonly timings: StageTimings };

export class InferenceService {
  private readonly bundles = new Lru<string, KeyedBundle>(keptModels);
  private readonly models = new Lru<string, RunningModel>(keptModels, ({ tatok }) => {
    // Sessions of a lost device may fail to end; nobody needs them any more.
    tatok.release().catch(() => undefined);
  });
  /** Providers of a choice that failed while they ran, and why. */
  private readonly ruledOut = new Map<string, Map<ProviderName, string>>();
  private readonly attentions = new Lru<string, Float32Array>(keptAttentions);
  private readonly rankings = new Lru<string, Ranking>(keptRankings);
  private readonly measurements = new Lru<string, Measurement>(keptMeasurements);
  private readonly influences = new Lru<string, InfluenceMap>(keptInfluences);
  /** What influence is a change of; all tokens of one image share it. */
  private readonly references = new Lru<string, Rendered>(2);
  private readonly pictures = new Lru<string, Picture>(keptPictures);
  private last: Promise<unknown> = Promise.resolve();
  /** What the request under way runs on. */
  private inUse: { readonly key: string; readonly provider: ProviderName } | undefined;

  /** @param log told of providers that fail while they run. */
  constructor(private readonly log: (text: string) => void = () => undefined) {}

  load(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.inTurn(choice, async () => (await this.model(choice, observer)).loaded);
  }

  /** @param onPicture told of the picture once it is decoded. */
  tokenize(
    params: TokenizeParams,
    observer: StageObserver,
    onPicture: (picture: DecodedPicture) => void = () => undefined,
  ): Promise<Tokenized & LoadedModel> {
    return this.inTurn(params.choice, async () => {
      const bundle = await this.bundle(params.choice);
      const { model } = bundle;
      const { file, settings: given, ...options } = params;
      const settings = resolveSettings(given, model);
      const read = await readPicture(file, model, options, observer);
      const image = shownImage(read.picture, model);
      onPicture({ image, model, settings });
      if (image.reduction > 1) this.pictures.set(pictureKey(file, image), read.picture);
      const { tatok, loaded, timings } = await this.running(bundle, params.choice, observer);
      const result = await tatok.tokenize(read.picture, image, settings, observer);
      return { ...result, ...loaded, timings: { ...read.timings, ...timings, ...result.timings } };
    });
  }

  rank({ choice, tokens, image, settings }: RankParams, observer: StageObserver): Promise<Ranking> {
    return this.inTurn(choice, async () => {
      const model = await this.model(choice, observer);
      return (await this.ranking(model, tokens, image, settings, observer)).ranking;
    });
  }

  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.inTurn(params.choice, async () => {
      const model = await this.model(params.choice, observer);
      const { tokens, image, settings } = params;
      const picture = await this.picture(params, model, observer);
      const ranked = await this.ranking(model, tokens, image, settings, observer);
      const result = await model.tatok.reconstruct(tokens, image, picture, settings, ranked.ranking, observer);
      return { ...result, timings: { ...model.timings, ...ranked.timings, ...result.timings } };
    });
  }

  /** Only what was not measured before is. */
  measure(params: MeasureParams, observer: StageObserver): Promise<readonly Measurement[]> {
    return this.inTurn(params.choice, async () => {
      const model = await this.model(params.choice, observer);
      const { tokens, image, settings, lossRates } = params;
      const rankedAs = rankingKey(model.key, image, tokens, settings);
      const original = hashOf(image.rgb);
      const measuredAs = (lossRate: number) => JSON.stringify([rankedAs, original, settings.budget, lossRate]);
      const known = new Map(lossRates.map((lossRate) => [lossRate, this.measurements.get(measuredAs(lossRate))]));
      const missing = lossRates.filter((lossRate) => known.get(lossRate) === undefined);
      if (missing.length > 0) {
        const picture = await this.picture(params, model, observer);
        const { ranking } = await this.ranking(model, tokens, image, settings, observer);
        const measured = await model.tatok.measure(tokens, image, picture, settings, missing, ranking, observer);
        for (const measurement of measured) {
          this.measurements.set(measuredAs(measurement.lossRate), measurement);
          known.set(measurement.lossRate, measurement);
        }
      }
      return lossRates.flatMap((lossRate) => known.get(lossRate) ?? []);
    });
  }

  influence(
    { choice, tokens, image, settings, tile, globalToken }: InfluenceParams,
    observer: StageObserver,
  ): Promise<InfluenceMap> {
    return this.inTurn(choice, async () => {
      const model = await this.model(choice, observer);
      const rankedAs = rankingKey(model.key, image, tokens, settings);
      const filteredAs = JSON.stringify([rankedAs, settings.budget, settings.lossRate, tile]);
      const influenceKey = JSON.stringify([filteredAs, globalToken]);
      const known = this.influences.get(influenceKey);
      if (known !== undefined) return known;
      let reference = this.references.get(filteredAs);
      if (reference === undefined) {
        const { ranking } = await this.ranking(model, tokens, image, settings, observer);
        reference = await model.tatok.render(tokens, image, tile, settings, ranking, observer);
        this.references.set(filteredAs, reference);
      }
      const map = await model.tatok.influence(tokens, image, tile, settings, globalToken, reference, observer);
      this.influences.set(influenceKey, map);
      return map;
    });
  }

  attention(params: AttentionParams, observer: StageObserver): Promise<AttentionMap> {
    return this.inTurn(params.choice, async () => {
      const { image, tile, layer, head } = params;
      const model = await this.model(params.choice, observer);
      const { tatok } = model;
      const rgb = tatok.tile(await this.picture(params, model, observer), tile);
      const imageKey = `${model.key}\0${hashOf(rgb)}`;
      let weights = this.attentions.get(imageKey);
      if (weights === undefined) {
        weights = await new StageClock(observer).run('encode', () => tatok.attend(rgb));
        this.attentions.set(imageKey, weights);
      }
      return tatok.attentionOf(weights, image, tile, layer, head);
    });
  }

  /** All pixels of what was tokenized: those of the image itself, or of its file decoded again. */
  private async picture(
    { image, file }: TokenizedPicture,
    { loaded }: RunningModel,
    observer: StageObserver,
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

  /** The order of dropping, computed unless it was before. */
  private async ranking(
    { tatok, key }: ChosenModel,
    tokens: Tokens,
    image: ModelImage,
    settings: FilterSettings,
    observer: StageObserver,
  ): Promise<{ readonly ranking: Ranking; readonly timings: StageTimings }> {
    const rankedAs = rankingKey(key, image, tokens, settings);
    const known = this.rankings.get(rankedAs);
    if (known !== undefined) return { ranking: known, timings: {} };
    const ranked = await tatok.rank(tokens, image, settings, observer);
    this.rankings.set(rankedAs, ranked.ranking);
    return ranked;
  }

  private async model(choice: ModelChoice, observer: StageObserver): Promise<ChosenModel> {
    return this.running(await this.bundle(choice), choice, observer);
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

  /** The sessions of a bundle, created if they are not among those kept. */
  private async running(bundle: KeyedBundle, choice: ModelChoice, observer: StageObserver): Promise<ChosenModel> {
    const { key } = bundle;
    const kept = this.models.get(key);
    if (kept !== undefined) {
      this.inUse = { key, provider: kept.loaded.provider.provider };
      return { ...kept, key, timings: {} };
    }
    const clock = new StageClock(observer);
    const model = await clock.run('load', () => loadBundle(bundle, choice, this.ruledOut.get(keyOf(choice))));
    this.models.set(key, model);
    this.inUse = { key, provider: model.loaded.provider.provider };
    return { ...model, key, timings: clock.timings };
  }

  /**
   * Sessions block the thread anyway, so requests run one after another; a model is never released under a running request.
   *
   * A provider that fails while it runs (out of memory, lost device) is ruled out and the request done again on the next one.
   */
  private inTurn<Result>(choice: ModelChoice, work: () => Promise<Result>): Promise<Result> {
    const result = this.last.then(async () => {
      for (;;) {
        this.inUse = undefined;
        try {
          return await work();
        } catch (error) {
          if (!this.fallBack(choice, error)) throw error;
        }
      }
    });
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Whether another provider may do what the one in use failed at. The CPU is the last resort. */
  private fallBack(choice: ModelChoice, error: unknown): boolean {
    const { inUse } = this;
    if (!(error instanceof TatokError) || error.code !== 'inference-failed') return false;
    if (inUse === undefined || inUse.provider === 'cpu' || !mayFallBack(choice, inUse.provider)) return false;
    const reason = `It failed while running: ${explainProviderFailure(inUse.provider, error.cause ?? error)}`;
    this.log(`${inUse.provider} is no longer used. ${reason}`);
    const ruledOut = this.ruledOut.get(keyOf(choice)) ?? new Map<ProviderName, string>();
    this.ruledOut.set(keyOf(choice), ruledOut.set(inUse.provider, reason));
    this.models.delete(inUse.key);
    return true;
  }
}

function keyOf({ directory, providers, cudaDevice }: ModelChoice): string {
  return JSON.stringify([directory, providers, cudaDevice]);
}

/** Whether the order names a provider after this one. */
function mayFallBack({ providers }: ModelChoice, failed: ProviderName): boolean {
  return providerOrder(providers).at(-1) !== failed;
}

function hashOf(...parts: readonly (Uint8Array | Int32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function pictureKey(file: Uint8Array, { cropMode }: ModelImage): string {
  return `${cropMode}\0${hashOf(file)}`;
}

/** What a ranking depends on: the model, the codes and their grid, β and the conditioning. */
function rankingKey(
  model: string,
  { grid }: ModelImage,
  { globalCodes, patchCodes }: Tokens,
  settings: FilterSettings,
): string {
  const codes = hashOf(globalCodes, patchCodes);
  return JSON.stringify([model, grid, codes, settings.edgePriority, settings.conditioning]);
}
