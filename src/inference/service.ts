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
import { readBundle } from '../tokenizer/manifest';
import type { Reconstructed, Rendered } from '../tokenizer/pipeline';
import { StageClock, type StageObserver } from '../tokenizer/stages';
import type {
  AttentionMap,
  FilterSettings,
  InfluenceMap,
  Measurement,
  Ranking,
  StageTimings,
  Tokenization,
  Tokens,
} from '../tokenizer/types';
import { loadBundle, type RunningModel } from './loadModel';
import { Lru } from './lru';

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
  private readonly models = new Lru<string, RunningModel>(keptModels, ({ tatok }) => void tatok.release());
  private readonly attentions = new Lru<string, Float32Array>(keptAttentions);
  private readonly rankings = new Lru<string, Ranking>(keptRankings);
  private readonly measurements = new Lru<string, Measurement>(keptMeasurements);
  private readonly influences = new Lru<string, InfluenceMap>(keptInfluences);
  /** What influence is a change of; all tokens of one image share it. */
  private readonly references = new Lru<string, Rendered>(2);
  private last: Promise<unknown> = Promise.resolve();

  load(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.inTurn(async () => (await this.model(choice, observer)).loaded);
  }

  tokenize(params: TokenizeParams, observer: StageObserver): Promise<Tokenization & LoadedModel> {
    return this.inTurn(async () => {
      const { tatok, loaded, key, timings } = await this.model(params.choice, observer);
      const { settings, maxMegapixels } = params;
      const result = await tatok.tokenize(params.file, { settings, maxMegapixels }, observer);
      const { reconstruction, tokens } = result;
      this.rankings.set(rankingKey(key, tokens, reconstruction.settings), reconstruction.ranking);
      return { ...result, ...loaded, timings: { ...timings, ...result.timings } };
    });
  }

  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.inTurn(async () => {
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
    return this.inTurn(async () => {
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
    return this.inTurn(async () => {
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
    return this.inTurn(async () => {
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
    const key = JSON.stringify([choice.directory, choice.providers, manifest]);
    const kept = this.models.get(key);
    if (kept !== undefined) return { ...kept, key, timings: {} };
    const clock = new StageClock(observer);
    const model = await clock.run('load', async () => loadBundle(await readBundle(choice.directory), choice));
    this.models.set(key, model);
    return { ...model, key, timings: clock.timings };
  }

  /**
   * Sessions block the thread anyway, so requests run one after another; a model is never released under a running request.
   */
  private inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined);
    return result;
  }
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
