/** A token data set in VS Code: read, filled by the window's inference process, gone on with. */
import { basename, dirname, join, relative, sep } from 'node:path';
import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { requireSameModel } from '../export/tokens';
import type { Configuration } from '../host/configuration';
import { Disposable } from '../host/disposable';
import type { BatchInference } from '../host/sharedInference';
import { TatokError } from '../method/errors';
import { recordOf, resolveSettings } from '../method/settings';
import type { FilterSettings } from '../method/types';
import {
  datasetNumbers,
  openingDataset,
  type DatasetFacts,
  type DatasetRow,
  type DatasetState,
} from '../protocol/dataset';
import type { Batching, LoadedModel, ModelChoice } from '../protocol/engineMessages';
import { recipeOf, sourcesOf } from '../tokens/datasetRecipe';
import { ImageInputs, type ImageInput } from '../tokens/inputs';
import { inputHash, isTokenDataset, TokenDataset, type Recipe } from '../tokens/tokenDataset';
import { tokenizeInputs } from '../tokens/tokenizeInputs';
import type { TokenRow } from '../tokens/tokenRows';
import { toFailure, toTatokError } from './failure';

export interface DatasetServices {
  readonly inference: BatchInference;
  readonly configuration: Pick<Configuration, 'read' | 'saveFilter'>;
  readonly log: vscode.LogOutputChannel;
}

/** Rows that are held and sent to a page: a page of more would be slow, and the files have them all. */
export const mostRows = 100_000;

/** Pixels along the longer side of a thumbnail, twice what a row shows. */
const thumbnailSide = 96;

type Work = (token: CancellationToken) => Promise<void>;

export class DatasetDocument extends Disposable {
  private readonly changed = this.register(new vscode.EventEmitter<DatasetState>());
  readonly onDidChangeState = this.changed.event;
  private readonly made = this.register(new vscode.EventEmitter<readonly DatasetRow[]>());
  readonly onDidMakeRows = this.made.event;
  private readonly lost = this.register(new vscode.EventEmitter<{ readonly first: number; readonly end: number }>());
  readonly onDidLoseRows = this.lost.event;
  private current = openingDataset;
  private readonly held = new Map<number, DatasetRow>();
  private dataset: TokenDataset | undefined;
  private listing: Promise<ImageInputs> | undefined;
  private running: CancellationTokenSource | undefined;

  /**
   * @param folder absolute.
   * @param chosen images that the user chose to be tokenized into it, absolute paths; absent: those that it names itself.
   */
  constructor(
    readonly folder: string,
    private readonly services: DatasetServices,
    private readonly chosen?: readonly string[],
  ) {
    super();
    this.register({ dispose: () => this.running?.cancel() });
  }

  get name(): string {
    return basename(this.folder);
  }

  get uri(): vscode.Uri {
    return vscode.Uri.file(this.folder);
  }

  get state(): DatasetState {
    return this.current;
  }

  /** Rows by the place of their images. */
  get rows(): ReadonlyMap<number, DatasetRow> {
    return this.held;
  }

  /** Its files; undefined while there are none. */
  get written(): TokenDataset | undefined {
    return this.dataset;
  }

  /** Reads what is there. A data set that images were chosen for is then begun, or gone on with. */
  async open(): Promise<void> {
    await this.work(async () => {
      if (this.chosen !== undefined && !(await isTokenDataset(this.folder))) return;
      this.dataset = await TokenDataset.open(this.folder);
      this.tell({ total: this.dataset.recipe.input.count, facts: factsOf(this.dataset) });
      await this.readRows(this.dataset);
    });
    if (this.chosen !== undefined && this.current.failure === undefined) await this.resume();
  }

  /** Begins the data set, or writes what is absent of it. */
  async resume(): Promise<void> {
    if (this.running !== undefined || this.current.phase === 'complete') return;
    const lease = this.services.inference.acquire();
    this.tell({ phase: 'preparing', failure: undefined });
    try {
      await this.work((token) => this.run(token));
    } finally {
      lease.dispose();
    }
  }

  /** Gives the open shard up; all that were finished stay. */
  cancel(): void {
    this.running?.cancel();
  }

  /** The image at a place. @throws TatokError where the images cannot be listed or are others by now. */
  async input(index: number): Promise<ImageInput> {
    const inputs = await this.inputs();
    if (index >= inputs.count) throw new TatokError('bad-message', 'The page asked for an image that there is not.');
    return inputs.at(index);
  }

  /** A JPEG file of what the model saw of an image; null where there is no picture. */
  async thumbnail(index: number, token: CancellationToken): Promise<Uint8Array | null> {
    // Nor is there one where there is no row.
    if (this.held.get(index)?.error !== null) return null;
    const { aspect = 1 } = this.current.facts ?? {};
    const side = (length: number) => Math.max(1, Math.round(thumbnailSide * Math.min(1, length)));
    const file = await (await this.input(index)).read();
    if (token.isCancellationRequested) return null;
    const { maxMegapixels } = this.settings;
    return this.services.inference.thumbnail(
      { file, width: side(aspect), height: side(1 / aspect), maxMegapixels },
      token,
    );
  }

  /** What the data set was made with, on the model that is configured. @throws TatokError where that is another one. */
  async maker(token: CancellationToken): Promise<{
    readonly recipe: Recipe;
    readonly choice: ModelChoice;
    readonly loaded: LoadedModel & Batching;
    readonly settings: FilterSettings;
  }> {
    const { dataset } = this;
    if (dataset === undefined) throw new TatokError('tokens-invalid', `${this.name} has no tokens yet.`);
    const { recipe } = dataset;
    const choice = this.choiceFor(recipe);
    const loaded = await this.services.inference.prepareBatches(choice, token);
    requireSameModel(this.name, recipe.model, loaded.model);
    return { recipe, choice, loaded, settings: resolveSettings(dataset.settings ?? {}, loaded.model) };
  }

  private get settings() {
    return this.services.configuration.read(this.uri);
  }

  /** A folder that is not trusted does not choose the provider. */
  private choiceFor({ provider, threads }: Recipe): ModelChoice {
    const { choice } = this.settings;
    return {
      ...choice,
      ...(vscode.workspace.isTrusted && { providers: [provider] }),
      ...(threads !== undefined && { threads }),
    };
  }

  private inputs(): Promise<ImageInputs> {
    this.listing ??= this.list();
    this.listing.catch(() => (this.listing = undefined));
    return this.listing;
  }

  private async list(): Promise<ImageInputs> {
    const inputs = await ImageInputs.list(this.chosen ?? this.knownSources());
    if (inputs.count === 0) throw new TatokError('input-unreadable', 'There are no images in what was chosen.');
    const { input } = this.dataset?.recipe ?? {};
    const paths = Array.from(inputs, ({ path }) => path);
    if (input !== undefined && (input.count !== inputs.count || input.hash !== inputHash(paths))) {
      throw new TatokError(
        'input-unreadable',
        `The images are not those that ${this.name} was begun with: names were added, removed or changed.`,
        'Choose another folder for the new data set.',
      );
    }
    return inputs;
  }

  /** @throws TatokError where they are not said, or lie where a folder that is not trusted must not lead. */
  private knownSources(): readonly string[] {
    const sources = this.dataset && sourcesOf(this.dataset.recipe, this.folder);
    if (sources === undefined) {
      throw new TatokError('input-unreadable', `${this.name} does not say where its images are.`);
    }
    const beside = dirname(this.folder);
    const outside = (path: string) => relative(beside, path).split(sep)[0] === '..' || relative(beside, path) === path;
    if (!vscode.workspace.isTrusted && sources.some(outside)) {
      throw new TatokError(
        'input-unreadable',
        `${this.name} names images outside of its folder, and this workspace is not trusted.`,
        'Trust the workspace to read them.',
      );
    }
    return sources;
  }

  private async run(token: CancellationToken): Promise<void> {
    const { inference } = this.services;
    const inputs = await this.inputs();
    this.tell({ total: inputs.count });
    const dataset = this.dataset === undefined ? await this.begin(inputs, token) : await this.goOn(inputs, token);
    this.dataset = dataset;
    await this.readRows(dataset);
    const { loaded, choice, settings, recipe } = await this.maker(token);
    this.tell({ phase: 'running', facts: factsOf(dataset), written: dataset.counts.rows });
    const stop = new AbortController();
    token.onCancellationRequested(() => stop.abort());
    const { entropies = false, quality = false } = recipe.columns ?? {};
    const client = {
      tokenizePictures: (params: Parameters<BatchInference['tokenizePictures']>[0]) =>
        inference.tokenizePictures(params, token),
    };
    await tokenizeInputs({
      dataset,
      inputs,
      maker: {
        model: loaded.model,
        choice,
        settings,
        provider: recipe.provider,
        batchSize: recipe.batchSize,
        entropies,
        quality,
        maxMegapixels: this.settings.maxMegapixels,
      },
      clients: [client],
      stop: stop.signal,
      onRows: (rows, first) => {
        this.hold(rows, first);
        if (dataset.counts.rows !== this.current.written) this.tell({ written: dataset.counts.rows });
      },
    });
    this.tell({ written: dataset.counts.rows });
  }

  /** Holds the rows of shards that are there and not held. */
  private async readRows(dataset: TokenDataset): Promise<void> {
    for (const shard of dataset.shards) {
      const first = dataset.firstInputOf(shard);
      if (this.isDisposed || first >= mostRows) return;
      if (!this.held.has(first)) this.hold(await dataset.readShard(shard), first);
    }
  }

  private async begin(inputs: ImageInputs, token: CancellationToken): Promise<TokenDataset> {
    const { choice, filter } = this.settings;
    const loaded = await this.services.inference.prepareBatches(choice, token);
    return TokenDataset.begin(
      this.folder,
      recipeOf({
        loaded,
        settings: resolveSettings(filter, loaded.model),
        // The page shows them, and the budget of a collection is found from the entropies.
        columns: { entropies: true, quality: true },
        inputs,
        sources: this.chosen ?? [],
        folder: this.folder,
        shardSize: shardSizeFor(inputs.count),
      }),
    );
  }

  private async goOn(inputs: ImageInputs, token: CancellationToken): Promise<TokenDataset> {
    const { recipe, loaded, settings } = await this.maker(token);
    return TokenDataset.begin(
      this.folder,
      recipeOf({
        loaded: { ...loaded, batchSize: recipe.batchSize },
        settings,
        columns: { entropies: recipe.columns?.entropies ?? false, quality: recipe.columns?.quality ?? false },
        inputs,
        sources: this.chosen ?? this.knownSources(),
        folder: this.folder,
        shardSize: recipe.shardSize,
        threads: recipe.threads,
      }),
    );
  }

  /** One work at a time, whose failure is part of the state. */
  private async work(run: Work): Promise<void> {
    const source = new CancellationTokenSource();
    this.running = source;
    let failure: TatokError | undefined;
    try {
      await run(source.token);
    } catch (error) {
      const known = toTatokError(error, this.name);
      if (known.code !== 'cancelled') failure = known;
    } finally {
      this.running = undefined;
      source.dispose();
    }
    if (this.isDisposed) return;
    if (failure !== undefined) this.services.log.error(`${this.folder}: ${failure.message}`);
    this.forgetUnwritten();
    const complete = failure === undefined && this.dataset?.absent.length === 0;
    this.tell({
      phase: complete ? 'complete' : 'stopped',
      failure: failure && toFailure(failure),
      written: this.dataset?.counts.rows ?? 0,
    });
  }

  /** Rows of a shard that was not finished are made again. */
  private forgetUnwritten(): void {
    const { dataset } = this;
    if (dataset === undefined) return;
    for (const shard of dataset.absent) {
      const [first, end] = dataset.inputsOf(shard);
      let some = false;
      for (let index = first; index < end; index++) if (this.held.delete(index)) some = true;
      if (some) this.lost.fire({ first, end });
    }
  }

  private hold(rows: readonly TokenRow[], first: number): void {
    const known = rows.map((row, i) => shownRow(row, first + i)).filter(({ index }) => index < mostRows);
    for (const row of known) this.held.set(row.index, row);
    if (known.length > 0) this.made.fire(known);
  }

  private tell(news: Partial<DatasetState>): void {
    const { total = 0 } = { ...this.current, ...news };
    this.current = { ...this.current, ...news, unsent: Math.max(0, total - mostRows) };
    this.changed.fire(this.current);
  }
}

/** A hundredth of the work at most is lost when it is stopped, and a folder has no more than some hundred files for it. */
function shardSizeFor(images: number): number {
  return Math.min(1024, Math.max(16, Math.ceil(images / 100)));
}

function factsOf({ recipe, settings }: TokenDataset): DatasetFacts {
  const { model, provider, grid, globalTokens } = recipe;
  const image = Array.isArray(recipe['image']) ? (recipe['image'] as unknown[]) : [];
  const [height, width] = image.map(Number);
  const known = height !== undefined && width !== undefined && height > 0 && width > 0;
  return {
    model: [model.name, model.version].filter((part) => part !== undefined).join(' '),
    provider,
    settings: settings && recordOf(settings),
    globalTokens,
    patchTokens: grid[0] * grid[1],
    aspect: known ? width / height : 1,
  };
}

function shownRow(row: TokenRow, index: number): DatasetRow {
  const { id, path, label, error, entropy } = row;
  const numbers = Object.fromEntries(datasetNumbers.map((name) => [name, row[name]])) as Pick<
    TokenRow,
    (typeof datasetNumbers)[number]
  >;
  const mean = entropy === null || entropy.length === 0 ? null : entropy.reduce((a, b) => a + b, 0) / entropy.length;
  return { index, id, path, label, error, mean_entropy: mean, ...numbers };
}

/** The folder beside that a data set of these images has by default. */
export function defaultDataset(images: readonly string[]): string {
  const [first = ''] = images;
  return images.length === 1 ? `${first}.tokens` : join(dirname(first), `${basename(dirname(first))}-selection.tokens`);
}
