/** What the inference process does for its clients: models kept loaded, requests one after another. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AttentionParams,
  InfluenceParams,
  LoadedModel,
  MeasureParams,
  ModelChoice,
  ReconstructParams,
  TokenizeParams,
} from '../protocol/inference';
import { TatokError } from '../tokenizer/errors';
import { readBundle } from '../tokenizer/manifest';
import type { Reconstructed, Rendered } from '../tokenizer/pipeline';
import { StageClock, type StageObserver } from '../tokenizer/stages';
import type {
  AttentionMap,
  FilterSettings,
  InfluenceMap,
  Measurement,
  ProviderName,
  Ranking,
  StageTimings,
  Tokenization,
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
/** A sequential ranking costs sixteen estimates and a few kilobytes; with it a released slider costs only a decoding. */
const keptRankings = 32;
/** Some hundred bytes each: the rate–distortion curves of a session. */
const keptMeasurements = 2048;
/** A kilobyte each: the maps of all global tokens under some kept sets. */
const keptInfluences = 512;

export class InferenceService {
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
  private last: Promise<unknown> = Promise.resolve();
  /** What the request under way runs on. */
  private inUse: { readonly key: string; readonly provider: ProviderName } | undefined;

  /** @param log told of providers that fail while they run. */
  constructor(private readonly log: (text: string) => void = () => undefined) {}

  load(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.inTurn(choice, async () => (await this.model(choice, observer)).loaded);
  }

  tokenize(params: TokenizeParams, observer: StageObserver): Promise<Tokenization & LoadedModel> {
    return this.inTurn(params.choice, async () => {
      const { tatok, loaded, key, timings } = await this.model(params.choice, observer);
      const { settings, maxMegapixels } = params;
      const result = await tatok.tokenize(params.file, { settings, maxMegapixels }, observer);
      const { reconstruction, tokens } = result;
      this.rankings.set(rankingKey(key, tokens, reconstruction.settings), reconstruction.ranking);
      return { ...result, ...loaded, timings: { ...timings, ...result.timings } };
    });
  }

  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.inTurn(params.choice, async () => {
      const { tatok, key, timings } = await this.model(params.choice, observer);
      const { tokens, original, settings } = params;
      const rankedAs = rankingKey(key, tokens, settings);
      const result = await tatok.reconstruct(tokens, original, settings, observer, this.rankings.get(rankedAs));
      this.rankings.set(rankedAs, result.ranking);
      return { ...result, timings: { ...timings, ...result.timings } };
    });
  }

  /** Only what was not measured before is. */
  measure(params: MeasureParams, observer: StageObserver): Promise<readonly Measurement[]> {
    return this.inTurn(params.choice, async () => {
      const { tatok, key } = await this.model(params.choice, observer);
      const { tokens, original, settings, lossRates } = params;
      const rankedAs = rankingKey(key, tokens, settings);
      const image = hashOf(original);
      const measuredAs = (lossRate: number) => JSON.stringify([rankedAs, image, settings.budget, lossRate]);
      const known = new Map(lossRates.map((lossRate) => [lossRate, this.measurements.get(measuredAs(lossRate))]));
      const missing = lossRates.filter((lossRate) => known.get(lossRate) === undefined);
      if (missing.length > 0) {
        const ranking = this.rankings.get(rankedAs);
        const measured = await tatok.measure(tokens, original, settings, missing, observer, ranking);
        this.rankings.set(rankedAs, measured.ranking);
        for (const measurement of measured.measurements) {
          this.measurements.set(measuredAs(measurement.lossRate), measurement);
          known.set(measurement.lossRate, measurement);
        }
      }
      return lossRates.flatMap((lossRate) => known.get(lossRate) ?? []);
    });
  }

  influence(
    { choice, tokens, settings, globalToken }: InfluenceParams,
    observer: StageObserver,
  ): Promise<InfluenceMap> {
    return this.inTurn(choice, async () => {
      const { tatok, key } = await this.model(choice, observer);
      const rankedAs = rankingKey(key, tokens, settings);
      const filteredAs = JSON.stringify([rankedAs, settings.budget, settings.lossRate]);
      const influenceKey = JSON.stringify([filteredAs, globalToken]);
      const known = this.influences.get(influenceKey);
      if (known !== undefined) return known;
      let reference = this.references.get(filteredAs);
      if (reference === undefined) {
        reference = await tatok.render(tokens, settings, observer, this.rankings.get(rankedAs));
        this.references.set(filteredAs, reference);
        this.rankings.set(rankedAs, reference.ranking);
      }
      const map = await tatok.influence(tokens, settings, globalToken, reference, observer);
      this.influences.set(influenceKey, map);
      return map;
    });
  }

  attention({ choice, rgb, layer, head }: AttentionParams, observer: StageObserver): Promise<AttentionMap> {
    return this.inTurn(choice, async () => {
      const { tatok, key } = await this.model(choice, observer);
      const imageKey = `${key}\0${hashOf(rgb)}`;
      let weights = this.attentions.get(imageKey);
      if (weights === undefined) {
        weights = await new StageClock(observer).run('encode', () => tatok.attend(rgb));
        this.attentions.set(imageKey, weights);
      }
      return tatok.attentionOf(weights, layer, head);
    });
  }

  /** The model of a choice, loaded if it is not among those kept. A bundle whose manifest changed is another model. */
  private async model(
    choice: ModelChoice,
    observer: StageObserver,
  ): Promise<RunningModel & { readonly key: string; readonly timings: StageTimings }> {
    const manifest = await readFile(join(choice.directory, 'manifest.json'), 'utf8').catch(() => '');
    const key = JSON.stringify([keyOf(choice), manifest]);
    const kept = this.models.get(key);
    if (kept !== undefined) {
      this.inUse = { key, provider: kept.loaded.provider.provider };
      return { ...kept, key, timings: {} };
    }
    const clock = new StageClock(observer);
    const model = await clock.run('load', async () =>
      loadBundle(await readBundle(choice.directory), choice, this.ruledOut.get(keyOf(choice))),
    );
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

/** What a ranking depends on: the model, the codes, β and the conditioning. */
function rankingKey(model: string, { globalCodes, patchCodes }: Tokens, settings: FilterSettings): string {
  return JSON.stringify([model, hashOf(globalCodes, patchCodes), settings.edgePriority, settings.conditioning]);
}

function hashOf(...parts: readonly (Uint8Array | Int32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
