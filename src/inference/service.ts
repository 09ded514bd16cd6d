/** What the inference process does for its clients: models kept loaded, requests one after another. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AttentionParams,
  LoadedModel,
  ModelChoice,
  ReconstructParams,
  TokenizeParams,
} from '../protocol/inference';
import { readBundle } from '../tokenizer/manifest';
import type { Reconstructed } from '../tokenizer/pipeline';
import { StageClock, type StageObserver } from '../tokenizer/stages';
import type { AttentionMap, StageTimings, Tokenization } from '../tokenizer/types';
import { loadBundle, type RunningModel } from './loadModel';
import { Lru } from './lru';

/** Two models side by side is what a comparison needs. */
const keptModels = 2;
/** An attention tensor has about a megabyte; these are the images whose layers and heads are being browsed. */
const keptAttentions = 4;

export class InferenceService {
  private readonly models = new Lru<string, RunningModel>(keptModels, ({ tatok }) => void tatok.release());
  private readonly attentions = new Lru<string, Float32Array>(keptAttentions);
  private last: Promise<unknown> = Promise.resolve();

  load(choice: ModelChoice, observer: StageObserver): Promise<LoadedModel> {
    return this.inTurn(async () => (await this.model(choice, observer)).loaded);
  }

  tokenize(params: TokenizeParams, observer: StageObserver): Promise<Tokenization & LoadedModel> {
    return this.inTurn(async () => {
      const { tatok, loaded, timings } = await this.model(params.choice, observer);
      const { settings, maxMegapixels } = params;
      const result = await tatok.tokenize(params.file, { settings, maxMegapixels }, observer);
      return { ...result, ...loaded, timings: { ...timings, ...result.timings } };
    });
  }

  reconstruct(params: ReconstructParams, observer: StageObserver): Promise<Reconstructed> {
    return this.inTurn(async () => {
      const { tatok, timings } = await this.model(params.choice, observer);
      const result = await tatok.reconstruct(params.tokens, params.original, params.settings, observer);
      return { ...result, timings: { ...timings, ...result.timings } };
    });
  }

  attention({ choice, rgb, layer, head }: AttentionParams, observer: StageObserver): Promise<AttentionMap> {
    return this.inTurn(async () => {
      const { tatok, key } = await this.model(choice, observer);
      const imageKey = `${key}\0${createHash('sha256').update(rgb).digest('hex')}`;
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
