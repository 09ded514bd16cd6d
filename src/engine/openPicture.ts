/** A picture that is open in the inference process: its file and tokens, and what was computed of them. */
import { LRUCache } from 'lru-cache';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { readTable, type CodebookTable } from '../bundle/codebookTable';
import type { AnchorPoint, Codec } from '../method/anchors';
import { keyOfEdits, noEdits, type Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import { roundsOf } from '../method/sequential';
import { filterKeys } from '../method/settings';
import { depthOf, streamOf } from '../method/streams';
import type { Analyses, Call } from '../protocol/analyses';
import type { KnownPicture, ModelChoice } from '../protocol/engineMessages';
import type {
  FilterSettings,
  InfluenceMap,
  Measurement,
  ModelDescription,
  Picture,
  Ranking,
  Reconstruction,
  StageTimings,
} from '../method/types';
import { limitsOf, type PictureLimits } from '../protocol/schemas';
import { animation } from './animation';
import { CodecLadder } from './codecs';
import { readPicture } from './picture';
import type { Rendered } from './pipeline';
import type { Requests, Run, Urgency } from './requests';
import type { KeyedBundle, RunningModels } from './runningModels';
import type { RunningModel } from './loadModel';
import { StageClock } from './stages';
import { reduce } from './tiles';

/**
 * A ranking in rounds costs estimates, decodings and a few kilobytes (two megabytes at 50 megapixels); with it a released slider costs
 * only a decoding.
 */
const keptRankings = 32;
/** As many as a comparison shows of one picture: pages that are shown again have theirs at once. */
const keptReconstructions = 2;
/** A kilobyte each: the maps of all global tokens under some kept sets. */
const keptInfluences = 512;
/** Those of the tile that is being looked at, before and after a change of settings. */
const keptReferences = 2;
/** A megabyte each: the tiles whose layers and heads are being browsed. */
const keptAttentions = 4;

/** Entries that are told of each code. */
const nearestShown = 5;

/** An order of dropping, undefined where nothing can be dropped, and what computing it took just now. */
interface TimedRanking {
  readonly ranking: Ranking | undefined;
  readonly timings: StageTimings;
}

/** The model of a request, and what loading it took just now. */
type ReadyModel = RunningModel & { readonly timings: StageTimings };

/** The parts of the engine that pictures share. */
export interface Shared {
  readonly models: Pick<RunningModels, 'bundle' | 'use'>;
  readonly requests: Requests;
  readonly largePicture: LargePicture;
}

/** All pixels of the one large picture that was looked at last; the others are decoded again when they are needed. */
export class LargePicture {
  private kept: { readonly of: OpenPicture; readonly picture: Picture } | undefined;

  get(of: OpenPicture): Picture | undefined {
    return this.kept?.of === of ? this.kept.picture : undefined;
  }

  set(of: OpenPicture, picture: Picture): void {
    this.kept = { of, picture };
  }

  forget(of: OpenPicture): void {
    if (this.kept?.of === of) this.kept = undefined;
  }
}

export class OpenPicture {
  private readonly rankings = new LRUCache<string, Ranking>({ max: keptRankings });
  private readonly reconstructions = new LRUCache<string, Reconstruction>({ max: keptReconstructions });
  private readonly measurements = new Map<string, Measurement>();
  private readonly influences = new LRUCache<string, InfluenceMap>({ max: keptInfluences });
  private readonly references = new LRUCache<string, Rendered>({ max: keptReferences });
  private readonly attentions = new LRUCache<number, Float32Array>({ max: keptAttentions });
  /** Vectors of the patches' codes; undefined until they are asked for, and where there are none. */
  private table: Promise<CodebookTable | undefined> | undefined;
  private readonly ladders = new Map<Codec, CodecLadder>();
  private readonly closing = new CancellationTokenSource();
  /** All pixels, where the image that is shown has them all. */
  private pixels: Picture | undefined;

  /** @param bundle of the model that made the tokens; undefined: it is read when it is needed. */
  constructor(
    private readonly known: KnownPicture,
    private readonly shared: Shared,
    private bundle?: KeyedBundle,
  ) {}

  readonly analyses: Analyses = {
    rank: (settings, call) =>
      this.inTurn(call, async (run) => {
        const { ranking } = await this.ranking(await this.model(run), settings, run, 'required');
        if (ranking === undefined) throw new RangeError('a required ranking is missing');
        return ranking;
      }),

    reconstruct: async ({ edits = noEdits, ...settings }, call) => {
      const key = keyOf(settings, edits);
      const known = this.reconstructions.get(key);
      if (known !== undefined) return { ...known, timings: {} };
      return this.inTurn(call, async (run) => {
        const { tokens, image } = this.known;
        const model = await this.model(run);
        const ranked = await this.ranking(model, settings, run);
        const picture = this.known.file === undefined ? undefined : await this.picture(model.tatok.model, run);
        const { timings, ...reconstruction } = await model.tatok.reconstruct(
          tokens,
          image,
          picture,
          settings,
          ranked.ranking,
          run.observer,
          edits,
        );
        this.reconstructions.set(key, reconstruction);
        return { ...reconstruction, timings: { ...model.timings, ...ranked.timings, ...timings } };
      });
    },

    measure: ({ settings, lossRates }, call) =>
      this.inTurn(call, async (run) => {
        const key = (lossRate: number) => keyOf({ ...settings, lossRate });
        const missing = lossRates.filter((lossRate) => !this.measurements.has(key(lossRate)));
        if (missing.length > 0) {
          const { tokens, image } = this.known;
          const model = await this.model(run);
          const { ranking } = await this.ranking(model, settings, run);
          const picture = this.known.file === undefined ? undefined : await this.picture(model.tatok.model, run);
          const { tatok } = model;
          const points = await tatok.measure(tokens, image, picture, settings, missing, ranking, run.observer);
          for (const point of points) this.measurements.set(key(point.lossRate), point);
        }
        return lossRates.flatMap((lossRate) => this.measurements.get(key(lossRate)) ?? []);
      }),

    influence: ({ settings, edits = noEdits, tile, globalToken }, call) =>
      this.inTurn(call, async (run) => {
        const keptSet = `${keyOf(settings, edits)} ${tile}`;
        const key = `${keptSet} ${globalToken}`;
        const known = this.influences.get(key);
        if (known !== undefined) return known;
        const { tokens, image } = this.known;
        const model = await this.model(run);
        const render = async () => {
          const { ranking } = await this.ranking(model, settings, run);
          return model.tatok.render(tokens, image, tile, settings, ranking, run.observer, edits);
        };
        // All tokens of one tile share what influence is a change of.
        const reference = this.references.get(keptSet) ?? (await render());
        this.references.set(keptSet, reference);
        const map = await model.tatok.influence(image, tile, settings, globalToken, reference, run.observer);
        this.influences.set(key, map);
        return map;
      }),

    attention: ({ tile, layer, head }, call) =>
      this.inTurn(
        call,
        async (run) => {
          const { tatok } = await this.model(run);
          const attend = async () => {
            const rgb = tatok.tile(await this.picture(tatok.model, run), tile);
            return new StageClock(run.observer).run('encode', () => tatok.attend(rgb));
          };
          const weights = this.attentions.get(tile) ?? (await attend());
          this.attentions.set(tile, weights);
          return tatok.attentionOf(weights, this.known.image, tile, layer, head);
        },
        'soon',
      ),

    sweep: ({ settings, lossRates, format }, call) =>
      this.inTurn(
        call,
        async (run) => {
          const { tokens, image } = this.known;
          const model = await this.model(run);
          const { ranking } = await this.ranking(model, settings, run);
          const frames: Uint8Array[] = [];
          for (const lossRate of lossRates) {
            const at = { ...settings, lossRate };
            // Without the picture nothing is measured.
            const { rgb } = await model.tatok.reconstruct(tokens, image, undefined, at, ranking, run.observer);
            frames.push(rgb);
          }
          const [width, height] = [image.width, image.height].map((side) => Math.ceil(side / image.reduction));
          return animation(frames, { width: width ?? 1, height: height ?? 1 }, format);
        },
        'long',
      ),

    nearest: async ({ patch }) => {
      this.bundle ??= await this.readBundle(this.known.choice);
      const { model, manifest } = this.bundle;
      const stream = streamOf(model, 'patch');
      this.table ??= stream && readTable(model.directory, manifest, stream.name);
      const table = await this.table;
      if (stream === undefined || table === undefined) {
        throw new TatokError('bad-settings', `${model.name} has no table of the vectors of its patches’ codes.`);
      }
      const depth = depthOf(stream);
      const codes = Array.from({ length: depth }, (_, i) => Number(this.known.tokens.patchCodes[patch * depth + i]));
      return codes.map((code) => table.nearest(code, nearestShown));
    },

    anchor: ({ codec, bytes }, call) =>
      this.inTurn(
        call,
        async (run) => {
          const ladder = await this.ladder(codec, run);
          const point = await ladder.within(bytes, () => run.observer('metrics'));
          if (point.file === null) return { ...point, rgb: null };
          const { width, height, reduction } = this.known.image;
          return { ...point, rgb: reduce(await ladder.decode(point.file), width, height, reduction) };
        },
        'long',
      ),

    anchorCurve: ({ codec, bytes }, call) =>
      this.inTurn(
        call,
        async (run) => {
          const ladder = await this.ladder(codec, run);
          const points: AnchorPoint[] = [];
          for (const limit of bytes) points.push(await ladder.within(limit, () => run.observer('metrics')));
          return points;
        },
        'long',
      ),

    draw: ({ settings, edits = noEdits, seed }, call) =>
      this.inTurn(call, async (run) => {
        const { tokens, image } = this.known;
        const model = await this.model(run);
        const { ranking } = await this.ranking(model, settings, run);
        return model.tatok.draw(tokens, image, settings, ranking, seed, edits, run.observer);
      }),
  };

  /** Of its requests. The model's layers and heads are known once its bundle is read. */
  get limits(): PictureLimits {
    const { image, tokens } = this.known;
    const { tiles } = image;
    return limitsOf(image, tokens.globalCodes.length / (tiles.rows * tiles.columns), this.bundle?.model);
  }

  /** Keeps the pixels that were decoded, so that they are not decoded again. */
  keepPixels(picture: Picture): void {
    // It may have been closed while it was decoded.
    if (this.closing.token.isCancellationRequested) return;
    if (this.known.image.reduction > 1) this.shared.largePicture.set(this, picture);
    else this.pixels = picture;
  }

  /** Ends what is computed of the picture. */
  close(): void {
    this.closing.cancel();
    this.shared.largePicture.forget(this);
  }

  private inTurn<Result>(
    call: Call | undefined,
    work: (run: Run) => Promise<Result>,
    urgency: Urgency = urgencyOf(this.known.image.tiles),
  ): Promise<Result> {
    return this.shared.requests.inTurn(this.known.choice, urgency, call, work, this.closing.token);
  }

  /**
   * The sessions of the picture's model, which the request uses until it ends.
   *
   * @throws TatokError model-incompatible where another model is in the folder by now.
   */
  private async model(run: Run): Promise<ReadyModel> {
    this.bundle ??= await this.readBundle(run.choice);
    return readyModel(this.shared.models, this.bundle, run);
  }

  private async readBundle(choice: ModelChoice): Promise<KeyedBundle> {
    const bundle = await this.shared.models.bundle(choice);
    if (bundle.manifestText === this.known.manifest) return bundle;
    throw new TatokError(
      'model-incompatible',
      `The model in ${choice.directory} was replaced after it made the tokens of this picture.`,
      'Close the picture and open it again.',
    );
  }

  /** @param need `required` has a model refuse that can drop nothing. */
  private async ranking(
    { tatok }: ReadyModel,
    settings: FilterSettings,
    run: Run,
    need?: 'required',
  ): Promise<TimedRanking> {
    const decided = !tatok.model.filters || this.known.tokens.keep !== undefined;
    if (need === undefined && decided) return { ranking: undefined, timings: {} };
    const key = JSON.stringify([settings.edgePriority, settings.ranking, roundsOf(settings)]);
    const known = this.rankings.get(key);
    if (known !== undefined) return { ranking: known, timings: {} };
    const { tokens, image } = this.known;
    const geometry = { ...image, rgb: new Uint8Array() };
    // Pixels are read by distortion alone.
    const picture = settings.ranking === 'distortion' ? await this.picture(tatok.model, run) : geometry;
    const { ranking, timings } = await tatok.rank(tokens, picture, settings, run.observer);
    this.rankings.set(key, ranking);
    return { ranking, timings };
  }

  /** Files of the picture in a format, as far as they were made. It holds all pixels while it is at work, and longer only where they are kept. */
  private async ladder(codec: Codec, run: Run): Promise<CodecLadder> {
    const known = this.ladders.get(codec);
    if (known !== undefined) return known;
    this.bundle ??= await this.readBundle(run.choice);
    const ladder = new CodecLadder(codec, await this.picture(this.bundle.model, run));
    if (this.pixels !== undefined) this.ladders.set(codec, ladder);
    return ladder;
  }

  /** All pixels of the picture. @throws TatokError of the image; image-unreadable where there is none. */
  private async picture(model: ModelDescription, run: Run): Promise<Picture> {
    const known = this.pixels ?? this.shared.largePicture.get(this);
    if (known !== undefined) return known;
    const { file, image } = this.known;
    if (file === undefined) {
      throw new TatokError('image-unreadable', 'The tokens were opened without the picture that they were made of.');
    }
    const { picture } = await readPicture(file, model, { cropMode: image.cropMode }, run.observer);
    this.keepPixels(picture);
    return picture;
  }
}

/** Loads a model unless it is loaded, for the request under way. */
export async function readyModel(models: Shared['models'], bundle: KeyedBundle, run: Run): Promise<ReadyModel> {
  const clock = new StageClock(run.observer);
  run.model = await models.use(bundle, run.choice, clock);
  return { ...run.model, timings: clock.timings };
}

/** Tiles go batch by batch, for minutes where there are many. */
function urgencyOf({ rows, columns }: { readonly rows: number; readonly columns: number }): Urgency {
  return rows * columns > 1 ? 'long' : 'soon';
}

/** Equal for settings and edits that keep the same patches and decode the same codes. */
function keyOf(settings: FilterSettings, edits: Edits = noEdits): string {
  const all = { ...settings, rankingRounds: roundsOf(settings) };
  return `${JSON.stringify(filterKeys.map((key) => all[key]))} ${keyOfEdits(edits)}`;
}
