/** The work of a table of models: every image through every model and setting, then through common formats at the same bytes. */
import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc/node';
import * as vscode from 'vscode';
import { Disposable } from '../host/disposable';
import type { Inference } from '../host/sharedInference';
import type { TatokSettings } from '../host/tatokSettings';
import type { OpenedPicture } from '../client/client';
import { bytesOf, codecNames, codecs, noneWithin, type AnchorPoint } from '../method/anchors';
import { rowOf, settingsText, type ImageResult, type NoResult, type TableRow } from '../method/modelTable';
import { hasPart } from '../method/parts';
import type { FilterSettings } from '../method/types';
import type { TableState } from '../protocol/modelTable';
import { toTatokError } from './failure';

/** A row that is asked for: one model under one setting. */
export interface TableSystem {
  /** Folder of the bundle. */
  readonly model: string;
  readonly name: string;
  readonly settings: FilterSettings;
  readonly filters: boolean;
  /** True if ε decides anything. */
  readonly rates: boolean;
}

export interface ModelTableRequest {
  readonly images: readonly vscode.Uri[];
  readonly systems: readonly TableSystem[];
}

export interface TableServices {
  readonly inference: Pick<Inference, 'acquire' | 'open'>;
  readonly configuration: { read(resource: vscode.Uri): TatokSettings };
}

type Outcome = ImageResult | NoResult;

/** Results are kept: what was done is not done again after a cancel. */
export class ModelTableWork extends Disposable {
  private readonly changed = this.register(new vscode.EventEmitter<TableState>());
  readonly onDidChange = this.changed.event;
  /** By system and image. */
  private readonly results = new Map<string, Outcome>();
  /** By reference, codec and image. */
  private readonly files = new Map<string, Outcome>();
  private reference = 0;
  private work: CancellationTokenSource | undefined;

  constructor(
    private readonly request: ModelTableRequest,
    private readonly services: TableServices,
    /** Reads an image file. */
    private readonly read: (uri: vscode.Uri) => Promise<Uint8Array>,
  ) {
    super();
    this.register(services.inference.acquire());
    this.register({ dispose: () => this.cancel() });
  }

  get state(): TableState {
    const { images, systems } = this.request;
    const total = images.length * (systems.length + 1);
    const done = this.results.size + this.images.filter((_, image) => this.hasFiles(image)).length;
    const phase = this.work !== undefined ? 'running' : done < total ? 'stopped' : 'complete';
    return {
      images: images.map(nameOf),
      rows: this.rows(),
      reference: this.reference,
      progress: { done, total, phase },
    };
  }

  /** Does what is missing. */
  async start(): Promise<void> {
    if (this.work !== undefined || this.isDisposed) return;
    const work = new CancellationTokenSource();
    this.work = work;
    this.tell();
    try {
      for (const [index] of this.systems.entries()) {
        for (const [image] of this.images.entries()) await this.tokenize(index, image, work.token);
      }
      for (const [image] of this.images.entries()) await this.encode(image, work.token);
    } finally {
      // Another start may have followed a cancel.
      if (this.work === work) this.work = undefined;
      this.tell();
    }
  }

  /** Ends the work; what is done stays. */
  cancel(): void {
    this.work?.cancel();
    this.work = undefined;
    this.tell();
  }

  /** Has formats be at the bytes of another system. */
  chooseReference(reference: number): void {
    if (this.systems[reference] === undefined || reference === this.reference) return;
    this.cancel();
    this.reference = reference;
    void this.start();
  }

  private get images(): readonly vscode.Uri[] {
    return this.request.images;
  }

  private get systems(): readonly TableSystem[] {
    return this.request.systems;
  }

  private async tokenize(index: number, image: number, token: CancellationToken): Promise<void> {
    const key = keyOf(index, image);
    if (token.isCancellationRequested || this.results.has(key)) return;
    const outcome = await this.attempt(index, image, token, async (opened, settings) => {
      const reconstruction = await opened.analyses.reconstruct(settings, { token });
      const { psnr, ssim, totalTokens, payloadBits, maskBits } = reconstruction;
      const { width, height } = opened.image;
      const bits = payloadBits + maskBits;
      return { psnr, ssim, tokens: totalTokens, bits, bytes: bytesOf(reconstruction), pixels: width * height };
    });
    if (outcome === undefined) return;
    this.results.set(key, outcome);
    this.tell();
  }

  /** The formats at the bytes that the reference takes for an image. */
  private async encode(image: number, token: CancellationToken): Promise<void> {
    const { reference } = this;
    const known = this.results.get(keyOf(reference, image));
    if (token.isCancellationRequested || known === undefined || this.hasFiles(image)) return;
    if ('reason' in known) {
      for (const codec of codecs) this.files.set(keyOf(reference, image, codec), known);
      this.tell();
      return;
    }
    const points = new Map<string, Outcome>();
    const failed = await this.attempt(reference, image, token, async (opened) => {
      for (const codec of codecs) {
        const [point] = await opened.analyses.anchorCurve({ codec, bytes: [known.bytes] }, { token });
        if (point !== undefined) points.set(codec, outcomeOf(point, known.pixels));
      }
      return undefined;
    });
    // Files of an image are all there, or none.
    if (points.size < codecs.length && failed === undefined) return;
    for (const codec of codecs) {
      const outcome = points.get(codec) ?? failed;
      if (outcome !== undefined) this.files.set(keyOf(reference, image, codec), outcome);
    }
    this.tell();
  }

  /** What comes of an image, or why nothing does; undefined where it was cancelled, or `run` gives nothing. */
  private async attempt(
    index: number,
    image: number,
    token: CancellationToken,
    run: (opened: OpenedPicture, settings: FilterSettings) => Promise<ImageResult | undefined>,
  ): Promise<Outcome | undefined> {
    const [system, uri] = [this.systems[index], this.images[image]];
    if (system === undefined || uri === undefined) return undefined;
    const { model, settings } = system;
    try {
      const { choice, cropMode, maxMegapixels } = this.services.configuration.read(uri);
      const file = await this.read(uri);
      const limit = maxMegapixels < Infinity && { maxMegapixels };
      const params = { choice: { ...choice, directory: model }, file, settings, cropMode, ...limit };
      const opened = await this.services.inference.open(params, { token });
      try {
        return await run(opened, settings);
      } finally {
        opened.close();
      }
    } catch (error) {
      if (token.isCancellationRequested) return undefined;
      return { reason: toTatokError(error, nameOf(uri)).message };
    }
  }

  private hasFiles(image: number): boolean {
    return codecs.every((codec) => this.files.has(keyOf(this.reference, image, codec)));
  }

  private rows(): TableRow[] {
    const found = <Key>(outcomes: ReadonlyMap<Key, Outcome>, keys: readonly Key[]): Outcome[] =>
      keys.flatMap((key) => outcomes.get(key) ?? []);
    const models = this.systems.map(({ name, settings, filters, rates }, id) => {
      const head = { id, kind: 'model', name, settings: settingsText(settings, filters, rates) } as const;
      return rowOf(
        head,
        found(
          this.results,
          this.images.map((_, image) => keyOf(id, image)),
        ),
      );
    });
    const [reference] = models.slice(this.reference);
    const formats = codecs.map((codec, i) => {
      const settings = `at the bytes of ${reference?.name ?? ''}, ${reference?.settings ?? ''}`;
      const head = { id: this.systems.length + i, kind: 'codec', name: codecNames[codec], settings } as const;
      return rowOf(
        head,
        found(
          this.files,
          this.images.map((_, image) => keyOf(this.reference, image, codec)),
        ),
      );
    });
    return [...models, ...formats].filter(({ images, missing }) => images > 0 || missing !== null);
  }

  private tell(): void {
    if (!this.isDisposed) this.changed.fire(this.state);
  }
}

function outcomeOf(point: AnchorPoint, pixels: number): Outcome {
  const { file } = point;
  if (file === null) return { reason: noneWithin(point) };
  const { bytes, psnr, ssim } = file;
  return { tokens: null, bits: 8 * bytes, bytes, pixels, psnr, ssim };
}

/** A system of a model under settings that were resolved. */
export function systemOf(
  model: { readonly directory: string; readonly name: string; readonly version: string } & Parameters<
    typeof hasPart
  >[0],
  settings: FilterSettings,
): TableSystem {
  const { directory, name, version, filters } = model;
  return { model: directory, name: `${name} ${version}`, settings, filters, rates: hasPart(model, 'rates') };
}

function keyOf(...parts: readonly (string | number)[]): string {
  return parts.join(' ');
}

function nameOf({ path }: vscode.Uri): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
