/** The work of the inference process: models that stay loaded, pictures that are open, requests one after another. */
import { TatokError } from '../method/errors';
import { requirePlainTokens, withoutAttention } from '../method/parts';
import { resolveSettings } from '../method/settings';
import { compute, type AnalysisRequest, type Call } from '../protocol/analyses';
import type {
  Batching,
  DecodedPicture,
  DecodedTokens,
  DecodeTokensParams,
  FailedPicture,
  FailedProvider,
  KnownPicture,
  LoadedModel,
  ModelChoice,
  OpenedTokens,
  OpenParams,
  OpenTokensParams,
  Pictures,
  PicturesParams,
  ProviderInUse,
  TokenizedPicture,
} from '../protocol/engineMessages';
import { checkedAnalysis } from '../protocol/schemas';
import { LargePicture, OpenPicture, readyModel } from './openPicture';
import { decodedImage, readOriginal, readPicture, shownImage } from './picture';
import { answerOf, PictureBatch } from './pictureBatch';
import { ProviderWatch } from './providers';
import { Requests } from './requests';
import { RunningModels, type ModelsListener } from './runningModels';

/** Events of an engine. */
export interface EngineListener extends ModelsListener {
  /** Waited for before the native code of another provider runs, or of none. */
  readonly noteProvider?: ((inUse: ProviderInUse | undefined) => Promise<void>) | undefined;
}

export class Engine {
  private readonly models: RunningModels;
  private readonly requests: Requests;
  private readonly largePicture = new LargePicture();
  private readonly pictures = new Map<number, OpenPicture>();

  constructor(listener: EngineListener = {}) {
    const watch = new ProviderWatch(listener.noteProvider ?? (() => Promise.resolve()));
    this.models = new RunningModels(listener, (choice, provider) => watch.opening(choice, provider));
    this.requests = new Requests(this.models, watch);
  }

  /** Keeps a provider from being tried for a choice. */
  excludeProvider(failed: FailedProvider): void {
    this.models.excludeProvider(failed);
  }

  /** Loads a model, unless it is loaded. */
  loadModel(choice: ModelChoice, call?: Call): Promise<LoadedModel> {
    return this.requests.inTurn(choice, 'soon', call, async (run) => {
      const bundle = await this.models.bundle(choice);
      return (await readyModel(this.models, bundle, run)).loaded;
    });
  }

  /**
   * Tokenizes an image file and keeps it open.
   *
   * @param picture number by which it is asked of.
   * @param onPicture called with the picture once it is decoded.
   * @throws TatokError of the image, the bundle, the settings or the providers.
   */
  open(
    picture: number,
    { choice, file, settings: given, cropMode, maxMegapixels }: OpenParams,
    call?: Call,
    onPicture: (picture: DecodedPicture) => void = () => undefined,
  ): Promise<OpenedTokens> {
    return this.requests.inTurn(choice, cropMode === 'tiles' ? 'long' : 'soon', call, async (run) => {
      const bundle = await this.models.bundle(choice);
      const { model } = bundle;
      const settings = resolveSettings(given, model);
      const read = await readPicture(file, model, { cropMode, maxMegapixels }, run.observer);
      const image = shownImage(read.picture, model);
      onPicture({ image, model, settings });
      const { tatok, loaded, timings: loading } = await readyModel(this.models, bundle, run);
      const { tokens, timings } = await tatok.tokenize(read.picture, image, settings, run.observer);
      if (call?.token?.isCancellationRequested !== true) {
        const { rgb: _, ...geometry } = image;
        const known = { choice, file, image: geometry, tokens, manifest: bundle.manifestText };
        const opened = new OpenPicture(known, this.shared, bundle);
        opened.keepPixels(read.picture);
        this.pictures.set(picture, opened);
      }
      return { ...loaded, tokens, manifest: bundle.manifestText, timings: { ...read.timings, ...loading, ...timings } };
    });
  }

  /**
   * Opens tokens that are known already, out of a file. Their picture is the original where that is given and fits, or else the one that
   * they decode to; of that one nothing is measured, and there is no attention over it.
   *
   * @param picture number by which they are asked of.
   * @param onPicture called with the picture.
   * @throws TatokError of the tokens, the bundle, the settings or the providers.
   */
  openTokens(
    picture: number,
    params: OpenTokensParams,
    call?: Call,
    onPicture: (picture: DecodedPicture) => void = () => undefined,
  ): Promise<OpenedTokens> {
    const { choice, tokens: given, cropMode, everyCode } = params;
    return this.requests.inTurn(choice, cropMode === 'tiles' ? 'long' : 'soon', call, async (run) => {
      const bundle = await this.models.bundle(choice);
      requirePlainTokens(bundle.model);
      const settings = resolveSettings(params.settings, bundle.model);
      const { tatok, loaded, timings: loading } = await readyModel(this.models, bundle, run);
      const { tokens, timings } = await tatok.estimateTokens(given, everyCode, run.observer);
      const original = await readOriginal(params, bundle.model, run.observer);
      const image =
        original === undefined
          ? decodedImage(given, cropMode, await tatok.decodeTokens(given, run.observer), bundle.model)
          : shownImage(original.picture, bundle.model);
      const model = original === undefined ? withoutAttention(bundle.model) : bundle.model;
      onPicture({ image, model, settings });
      if (call?.token?.isCancellationRequested !== true) {
        const { rgb: _, ...geometry } = image;
        const file = original && { file: original.file };
        const known = { choice, ...file, image: geometry, tokens, manifest: bundle.manifestText };
        const opened = new OpenPicture(known, this.shared, bundle);
        if (original !== undefined) opened.keepPixels(original.picture);
        this.pictures.set(picture, opened);
      }
      return { ...loaded, model, tokens, manifest: bundle.manifestText, timings: { ...loading, ...timings } };
    });
  }

  /** Loads a model, unless it is loaded, and tells how many images go through a graph at once. */
  prepareBatches(choice: ModelChoice, call?: Call): Promise<LoadedModel & Batching> {
    return this.requests.inTurn(choice, 'soon', call, async (run) => {
      const bundle = await this.models.bundle(choice);
      requirePlainTokens(bundle.model);
      const { loaded, batching } = await readyModel(this.models, bundle, run);
      return { ...loaded, ...batching };
    });
  }

  /**
   * Tokenizes several pictures in batches. A file that cannot be read is an answer among the others.
   *
   * @throws TatokError of the bundle, the settings, the graphs or the providers.
   */
  async tokenizePictures(params: PicturesParams, call?: Call): Promise<Pictures<TokenizedPicture>> {
    const { choice, files, settings, quality, batchSize, maxMegapixels } = params;
    const bundle = await this.models.bundle(choice);
    requirePlainTokens(bundle.model);
    const checked = resolveSettings(settings, bundle.model);
    const reading = Promise.allSettled(files.map((file) => readPicture(file, bundle.model, { maxMegapixels })));
    return this.requests.inTurn(choice, 'soon', call, async (run) => {
      await run.observer('read');
      const read = await reading;
      const { tatok, graphs, loaded } = await readyModel(this.models, bundle, run);
      const batch = new PictureBatch(tatok.model, graphs, batchSize, run.observer);
      return { ...loaded, pictures: await batch.tokenize(read, checked, quality) };
    });
  }

  /** Decodes tokens of several pictures. Tokens that the model cannot have given are an answer among the others. */
  decodeTokens({ choice, pictures, batchSize }: DecodeTokensParams, call?: Call): Promise<Pictures<DecodedTokens>> {
    return this.requests.inTurn(choice, 'soon', call, async (run) => {
      const bundle = await this.models.bundle(choice);
      requirePlainTokens(bundle.model);
      const { tatok, graphs, loaded } = await readyModel(this.models, bundle, run);
      if (batchSize !== undefined) {
        const batch = new PictureBatch(tatok.model, graphs, batchSize, run.observer);
        return { ...loaded, pictures: await batch.decode(pictures) };
      }
      const decoded: (DecodedTokens | FailedPicture)[] = [];
      for (const tokens of pictures) {
        const [settled] = await Promise.allSettled([tatok.decodeTokens(tokens, run.observer)]);
        decoded.push(answerOf(settled));
      }
      return { ...loaded, pictures: decoded };
    });
  }

  /** Keeps a picture open that is tokenized already. */
  reopen(picture: number, known: KnownPicture): void {
    this.pictures.set(picture, new OpenPicture(known, this.shared));
  }

  /** Forgets a picture, and ends what is computed of it. */
  close(picture: number): void {
    this.pictures.get(picture)?.close();
    this.pictures.delete(picture);
  }

  /** @throws TatokError of the analysis; bad-message for a request of another shape; cancelled for a picture that is not open. */
  async analyse(picture: number, request: AnalysisRequest, call: Call): Promise<unknown> {
    const opened = this.pictures.get(picture);
    if (opened === undefined) throw new TatokError('cancelled', 'The picture is not open.');
    return compute(opened.analyses, checkedAnalysis(request, opened.limits), call);
  }

  private get shared() {
    const { models, requests, largePicture } = this;
    return { models, requests, largePicture };
  }
}
