import { isDeepStrictEqual } from 'node:util';
import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import type { Inference } from '../host/sharedInference';
import type { TatokSettings } from '../host/tatokSettings';
import type { ExportedTokenization } from '../export/tokens';
import type { OpenCall, OpenedPicture } from '../client/client';
import type { AnalysisRequest, Call, Progress } from '../protocol/analyses';
import type { DecodedPicture, LoadedChoice } from '../protocol/engineMessages';
import type { EditRequest, Failure, InspectedTokenization, OtherTokens, RowChoice } from '../protocol/document';
import type { Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import { resolveSettings } from '../method/settings';
import type { CropMode, FilterSettings } from '../method/types';
import { toFailure, toTatokError } from './failure';
import { nameOf, readImage, type ImageFile } from './imageFile';

export type DocumentState =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'working';
      readonly progress: Progress | undefined;
      /** The picture being tokenized, once it is decoded. */
      readonly picture?: DecodedPicture | undefined;
    }
  | { readonly kind: 'tokenized'; readonly tokenization: InspectedTokenization }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface DocumentServices {
  readonly inference: Inference;
  /** Fires when the image may now be tokenized on another provider. */
  readonly onDidRestart: vscode.Event<void>;
  /** Fires when a model was loaded, maybe on another provider than before. */
  readonly onDidLoad: vscode.Event<LoadedChoice>;
  readonly configuration: {
    read(resource: vscode.Uri): TatokSettings;
    readonly onDidChange: vscode.Event<void>;
  };
  readonly log: Pick<vscode.LogOutputChannel, 'info' | 'error'>;
}

/** An open picture, and the file that its tokens come from. */
export type InspectedPicture = OpenedPicture & Pick<InspectedTokenization, 'origin'>;

/** The part of an `ImageFile` that a document needs. */
export type WatchedImage = Pick<ImageFile, 'uri' | 'name' | 'onDidChange' | 'read' | 'dispose'>;

/** Frames of a sweep of ε: steps of a twentieth. */
const sweepFrames = 21;

/** Programs write a file in several steps; one tokenization follows the last of them. */
const settleMs = 250;

/**
 * The tokenization of one image file, shared by all editors that show it (split editors, other groups), kept in step with
 * the file and the settings. Work starts with the first editor, while its page is still loading.
 */
export class TokenizationDocument extends Disposable implements vscode.CustomDocument {
  private readonly changed = this.register(new vscode.EventEmitter<DocumentState>());
  readonly onDidChangeState = this.changed.event;
  private readonly edited = this.register(new vscode.EventEmitter<Edits>());
  /** Fires when a file of tokens was edited, by a page or by a command of VS Code. */
  readonly onDidEdit = this.edited.event;
  private current: DocumentState = { kind: 'idle' };
  /** The settings of the current state; undefined while idle. */
  private settings: TatokSettings | undefined;
  private work: CancellationTokenSource | undefined;
  private replacing = new CancellationTokenSource();
  private settling: NodeJS.Timeout | undefined;
  /** The tokenization before an editor chose another crop mode: cancelling goes back to it. */
  private former: { readonly tokenization: InspectedTokenization; readonly undo: () => void } | undefined;
  /** True if the user opened the image despite the limit of megapixels. */
  private anySize = false;
  /** The picture of the last tokenization, open in the inference process. */
  private opened: OpenedPicture | undefined;
  /** Numbers of exports under way by their picture, which stays open for them when another replaces it. */
  private readonly exporting = new Map<OpenedPicture, number>();

  constructor(
    protected readonly file: WatchedImage,
    protected readonly services: DocumentServices,
    /** Folder of the model that was chosen in place of the configured one. */
    private chosenModel?: string,
    /** An editor's choice in place of the setting. */
    private chosenCropMode?: CropMode,
  ) {
    super();
    this.register(file);
    this.register(services.inference.acquire());
    this.register(file.onDidChange(() => this.fileChanged()));
    this.register(services.configuration.onDidChange(() => this.settingsChanged()));
    this.register(services.onDidRestart(() => this.restarted()));
    this.register(services.onDidLoad((loaded) => this.modelLoaded(loaded)));
    this.register({ dispose: () => clearTimeout(this.settling) });
    this.register({ dispose: () => this.stop() });
    this.register({ dispose: () => this.keepOpen(undefined) });
  }

  get uri(): vscode.Uri {
    return this.file.uri;
  }

  get name(): string {
    return this.file.name;
  }

  /** The name that its exports are named after, and what they are proposed beside. */
  get exportedAs(): { readonly name: string; readonly uri: vscode.Uri } {
    const { name, uri } = this;
    return { name, uri };
  }

  /** Folder of the model that tokenizes, or is about to. */
  get modelDirectory(): string {
    return this.readSettings().choice.directory;
  }

  /** How it is tokenized, or is about to be. */
  get cropMode(): CropMode {
    return this.readSettings().cropMode;
  }

  /** Cancelled once the current tokens are about to be replaced: what pages asked of them is not worth waiting for. */
  get untilReplaced(): CancellationToken {
    return this.replacing.token;
  }

  get state(): DocumentState {
    return this.current;
  }

  /** Tokenizes unless that was done or begun before. */
  start(): void {
    if (this.current.kind === 'idle') this.tokenize();
  }

  /** Tokenizes in another way, for all editors of the document. */
  chooseCropMode(mode: CropMode): void {
    if (mode === this.readSettings().cropMode && this.current.kind !== 'failed') return;
    const { current, settings, chosenCropMode } = this;
    if (current.kind === 'tokenized') {
      const undo = (): void => {
        Object.assign(this, { settings, chosenCropMode });
      };
      this.former = { tokenization: current.tokenization, undo };
    }
    this.chosenCropMode = mode;
    this.begin();
  }

  /** Restores the choice of an editor of a former window, unless one of this window chose already. */
  restoreCropMode(mode: CropMode): void {
    if (this.chosenCropMode === undefined) this.chooseCropMode(mode);
  }

  /** Tokenizes whatever the limit of megapixels, now and while the document is open. */
  openAnyway(): void {
    this.anySize = true;
    this.tokenize();
  }

  /** Tokenizes the file as it is now, in place of any work going on. */
  tokenize(): void {
    this.former = undefined;
    this.begin();
  }

  private begin(): void {
    // The file is read anew, whatever was about to be noticed of it.
    clearTimeout(this.settling);
    this.replacing.cancel();
    this.replacing = new CancellationTokenSource();
    const settings = this.readSettings();
    let known: Omit<DocumentState & { kind: 'working' }, 'kind'> = { progress: undefined };
    this.enter({ kind: 'working', ...known });
    void this.perform(settings, async (token) => {
      const tell = (news: Partial<typeof known>): void => {
        if (token.isCancellationRequested) return;
        known = { ...known, ...news };
        this.enter({ kind: 'working', ...known });
      };
      return this.open(settings, {
        token,
        onProgress: (progress) => tell({ progress }),
        onPicture: (picture) => tell({ picture }),
      });
    });
  }

  /** Reads the file and opens the picture that it is of. */
  protected async open(settings: TatokSettings, call: OpenCall): Promise<InspectedPicture> {
    const file = await this.file.read();
    const { choice, filter, cropMode, maxMegapixels } = settings;
    const limit = maxMegapixels < Infinity && { maxMegapixels };
    return this.services.inference.open({ choice, file, settings: filter, cropMode, ...limit }, call);
  }

  /** Changes a file of tokens; that of an image is never written. */
  edit(_request: EditRequest): void {}

  restoreRow(_index: number): void {}

  /** Shows another row of a data set; an image has none. */
  chooseRow(_choice: RowChoice): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Tokenizes with another model, for all editors of this document.
   *
   * @throws TatokError when the model cannot be loaded; then nothing changes.
   */
  async useModel(directory: string, token: CancellationToken): Promise<void> {
    const { choice } = this.readSettings();
    await this.services.inference.loadModel({ ...choice, directory }, token);
    if (this.isDisposed || token.isCancellationRequested) return;
    this.chosenModel = directory;
    this.tokenize();
  }

  /** Ends work going on, at the user's wish. */
  cancel(): void {
    if (this.current.kind !== 'working') return;
    this.stop();
    const { former } = this;
    if (former !== undefined) {
      this.former = undefined;
      former.undo();
      this.enter({ kind: 'tokenized', tokenization: former.tokenization });
      return;
    }
    this.keepOpen(undefined);
    this.enter({
      kind: 'failed',
      failure: toFailure(new TatokError('cancelled', `Tokenizing ${this.name} was cancelled.`)),
    });
  }

  /** Relays an analysis of the current tokens, by name. */
  async ask(request: AnalysisRequest, call: Call): Promise<unknown> {
    return this.result().opened.ask(request, call);
  }

  /**
   * Global codes of another image, by the model that tokenized this one and cropped as this one is.
   *
   * @throws TatokError of the image; bad-settings where its global tokens cannot stand in for this one's.
   */
  async globalTokensOf(uri: vscode.Uri, token: CancellationToken): Promise<OtherTokens> {
    const { tokenization } = this.result();
    const { choice, maxMegapixels } = this.readSettings();
    const { cropMode } = tokenization.image;
    const limit = maxMegapixels < Infinity && { maxMegapixels };
    const params = { choice, file: await readImage(uri), settings: {}, cropMode, ...limit };
    const opened = await this.services.inference.open(params, { token });
    opened.close();
    const { globalCodes } = opened.tokens;
    const own = tokenization.tokens.globalCodes.length;
    if (!(globalCodes instanceof Int32Array) || globalCodes.length !== own) {
      throw new TatokError(
        'bad-settings',
        `${nameOf(uri)} has ${globalCodes.length} global tokens and ${this.name} has ${own}.`,
        'Choose an image of as many tiles, or another crop mode.',
      );
    }
    return { name: nameOf(uri), model: opened.model.hash, globalCodes };
  }

  /** The tokenization under some settings and edits, for an export; it is finished although the file changes meanwhile. */
  async tokenizationUnder(
    filter: FilterSettings,
    token: CancellationToken,
    edits?: Edits,
  ): Promise<ExportedTokenization> {
    const { tokenization, opened } = this.result();
    this.exporting.set(opened, (this.exporting.get(opened) ?? 0) + 1);
    try {
      const ranked = tokenization.model.filters && tokenization.tokens.keep === undefined;
      const ranking = ranked ? await opened.analyses.rank(filter, { token }) : undefined;
      const { timings: _, ...reconstruction } = await opened.analyses.reconstruct({ ...filter, edits }, { token });
      return { ...tokenization, ranking, reconstruction, edits };
    } finally {
      this.exported(opened);
    }
  }

  /** An animated file of the reconstructions from ε = 0 to 1, finished although the file changes meanwhile. */
  async sweep(settings: FilterSettings, format: 'webp' | 'gif', token: CancellationToken): Promise<Uint8Array> {
    const { opened } = this.result();
    this.exporting.set(opened, (this.exporting.get(opened) ?? 0) + 1);
    try {
      const lossRates = Array.from({ length: sweepFrames }, (_, i) => i / (sweepFrames - 1));
      return await opened.analyses.sweep({ settings, lossRates, format }, { token });
    } finally {
      this.exported(opened);
    }
  }

  /** The settings that hold for this document, with the model chosen for it. */
  private readSettings(): TatokSettings {
    const settings = this.services.configuration.read(this.uri);
    return {
      ...settings,
      choice: { ...settings.choice, directory: this.chosenModel ?? settings.choice.directory },
      cropMode: this.chosenCropMode ?? settings.cropMode,
      maxMegapixels: this.anySize ? Infinity : settings.maxMegapixels,
    };
  }

  private result(): { readonly tokenization: InspectedTokenization; readonly opened: OpenedPicture } {
    if (this.current.kind !== 'tokenized' || this.opened === undefined) {
      throw new TatokError('cancelled', `${this.name} is not tokenized.`);
    }
    return { tokenization: this.current.tokenization, opened: this.opened };
  }

  /** Closes the picture that was open, if it is another one and no export needs it. */
  private keepOpen(picture: OpenedPicture | undefined): void {
    const former = this.opened;
    this.opened = picture;
    if (former !== undefined && former !== picture && !this.exporting.has(former)) former.close();
  }

  private exported(picture: OpenedPicture): void {
    const others = (this.exporting.get(picture) ?? 1) - 1;
    if (others > 0) {
      this.exporting.set(picture, others);
      return;
    }
    this.exporting.delete(picture);
    if (picture !== this.opened) picture.close();
  }

  /** Runs one piece of work to the next state; work that was replaced or outlived by the document changes nothing. */
  private async perform(
    settings: TatokSettings,
    run: (token: CancellationToken) => Promise<InspectedPicture>,
  ): Promise<void> {
    this.stop();
    const work = new CancellationTokenSource();
    this.work = work;
    this.settings = settings;
    let next: DocumentState;
    try {
      const opened = await run(work.token);
      if (work.token.isCancellationRequested) {
        opened.close();
        return;
      }
      this.keepOpen(opened);
      const { image, tokens, settings: filter, timings, model, provider, origin } = opened;
      this.logResult(opened);
      const tokenization = { image, tokens, settings: filter, timings, model, provider, ...(origin && { origin }) };
      next = { kind: 'tokenized', tokenization };
    } catch (error) {
      if (work.token.isCancellationRequested) return;
      this.keepOpen(undefined);
      const failure = toTatokError(error, this.name);
      this.services.log.error(`${this.uri.toString(true)}: ${failure.message}`, failure.cause ?? failure.code);
      next = { kind: 'failed', failure: this.explain(failure) };
    }
    this.work = undefined;
    this.former = undefined;
    this.enter(next);
  }

  /** Opening anyway is not offered again when it was tried. */
  private explain(error: TatokError): Failure {
    const { message, actions } = toFailure(error);
    return { message, actions: actions.filter((action) => action !== 'openAnyway' || !this.anySize) };
  }

  private stop(): void {
    this.work?.cancel();
    this.work = undefined;
  }

  private restarted(): void {
    if (this.current.kind !== 'idle') this.tokenize();
  }

  /** Tells where requests now run when the provider of the tokenization failed since; the tokens stay what they are. */
  private modelLoaded({ choice, provider }: LoadedChoice): void {
    if (this.current.kind !== 'tokenized' || !isDeepStrictEqual(choice, this.settings?.choice)) return;
    const { tokenization } = this.current;
    if (isDeepStrictEqual(provider, tokenization.provider)) return;
    this.enter({ kind: 'tokenized', tokenization: { ...tokenization, provider } });
  }

  private fileChanged(): void {
    if (this.current.kind === 'idle') return;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settled(), settleMs);
  }

  /** The file is as it was written. */
  protected settled(): void {
    this.tokenize();
  }

  /** Does again only what the changed settings affect: nothing when the filter changed, which pages follow by themselves. */
  private settingsChanged(): void {
    const before = this.settings;
    if (before === undefined) return;
    const now = this.readSettings();
    if (isDeepStrictEqual(before, now)) return;
    if (this.current.kind !== 'tokenized' || needsNewTokens(this.current.tokenization, before, now)) {
      this.tokenize();
      return;
    }
    const { tokenization } = this.current;
    this.settings = now;
    // Tokens of a file stay filtered as they were.
    if (tokenization.origin !== undefined) return;
    const filter = resolveSettings(now.filter, tokenization.model);
    if (isDeepStrictEqual(filter, tokenization.settings)) return;
    this.enter({ kind: 'tokenized', tokenization: { ...tokenization, settings: filter } });
  }

  private logResult({ model, provider, timings }: OpenedPicture): void {
    const { log } = this.services;
    for (const failure of provider.failures) log.info(`Not on ${failure.provider}: ${failure.reason}`);
    const stages = Object.entries(timings).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`);
    log.info(`${this.uri.toString(true)}: ${model.name} on ${provider.provider}: ${stages.join(', ')}`);
  }

  private enter(state: DocumentState): void {
    this.current = state;
    if (!this.isDisposed) this.changed.fire(state);
  }

  /** Keeps what pages that are loaded from now on are told of the edits; those that are there are told of them alone. */
  protected keepEdits(edits: Edits): void {
    const { current } = this;
    if (current.kind !== 'tokenized' || current.tokenization.origin === undefined) return;
    const origin = { ...current.tokenization.origin, edits };
    this.current = { kind: 'tokenized', tokenization: { ...current.tokenization, origin } };
    this.edited.fire(edits);
  }
}

/** True if tokens made under the settings before are not those of the settings now; the filter has no part in them. */
function needsNewTokens({ image }: InspectedTokenization, before: TatokSettings, now: TatokSettings): boolean {
  return (
    !isDeepStrictEqual(before.choice, now.choice) ||
    before.cudaLibraryPath !== now.cudaLibraryPath ||
    before.cropMode !== now.cropMode ||
    image.sourceWidth * image.sourceHeight > now.maxMegapixels * 1e6
  );
}
