/** Where the tokens of an editor come from: a file of one picture, or a row of a data set. */
import { basename, dirname } from 'node:path';
import type * as vscode from 'vscode';
import { readTokens } from '../export/npz';
import { requireSameModel, withoutEdits } from '../export/tokens';
import { plain, type Plain } from '../host/text';
import { window } from '../host/window';
import type { Edits } from '../method/edits';
import { TatokError } from '../method/errors';
import { resolveSettings } from '../method/settings';
import type { ModelDescription } from '../method/types';
import type { RowChoice, TokensOrigin } from '../protocol/document';
import type { OpenTokensParams } from '../protocol/engineMessages';
import { TokenDataset, type Shard } from '../tokens/tokenDataset';
import { tokensOfRow, type TokenRow } from '../tokens/tokenRows';
import { originalBeside, originalOfRow, type Original } from './originals';

/** Tokens as they are opened, with what is known of their picture. */
export interface SourcedTokens {
  readonly params: Pick<OpenTokensParams, 'tokens' | 'cropMode' | 'everyCode' | 'settings'>;
  readonly original: Original | undefined;
  readonly origin: Pick<TokensOrigin, 'note' | 'row'>;
}

/**
 * Tokens of a `.tokens.json` or `.npz` file, without what was changed by hand, and the changes.
 *
 * @param uri of the file, beside which the original is looked for.
 * @throws TatokError tokens-invalid; tokens-of-another-model.
 */
export async function tokensOfFile(
  uri: vscode.Uri,
  bytes: Uint8Array,
  model: ModelDescription,
): Promise<SourcedTokens & { readonly edits: Edits }> {
  const name = basename(uri.path);
  const file = readTokens(name, bytes, model);
  const { own, edits } = withoutEdits(name, file);
  return {
    params: { tokens: own, cropMode: file.cropMode, settings: file.settings, everyCode: true },
    original: await originalBeside(uri),
    origin: { note: file.note ?? null, row: null },
    edits,
  };
}

/** Rows that one list shows; of larger data sets the shard is chosen first. */
const mostListed = 10_000;

/** The rows of a data set, one of which is looked at. */
export class DatasetRows {
  private readonly folder: string;
  private dataset: TokenDataset | undefined;
  /** The row that is looked at; undefined: the first that has tokens. */
  private index: number | undefined;
  /** True once a row was chosen in this window. */
  private chosen = false;
  /** The shard that was read last. */
  private held: { readonly file: string; readonly rows: readonly TokenRow[] } | undefined;

  /** @param uri of `dataset.json`. */
  constructor(private readonly uri: vscode.Uri) {
    this.folder = dirname(uri.fsPath);
  }

  /** Of the folder. */
  get name(): string {
    return basename(this.folder);
  }

  /** Goes to a row that was looked at before. @returns false where another was chosen since, or it is the same. */
  restore(index: number): boolean {
    if (this.chosen || index === this.index) return false;
    this.index = index;
    return true;
  }

  /** Has the next look read the data set anew. */
  forget(): void {
    this.dataset = undefined;
    this.held = undefined;
  }

  /**
   * Tokens of the row that is looked at.
   *
   * @throws TatokError tokens-invalid for a data set that cannot be read, with the row's own sentence for one without tokens;
   *   tokens-of-another-model.
   */
  async read(model: ModelDescription): Promise<SourcedTokens> {
    const dataset = await this.open();
    const { recipe, settings: recorded } = dataset;
    requireSameModel(this.name, recipe.model, model);
    const settings = resolveSettings(recorded ?? {}, model);
    // There may be fewer rows than there were.
    if (this.index === undefined || this.index >= countOf(dataset)) this.index = await this.firstWithTokens(dataset);
    const row = await this.rowAt(dataset, this.index);
    if (row.error !== null) throw new TatokError('tokens-invalid', `${row.path} has no tokens: ${row.error}`);
    const tokens = tokensOfRow(row, model, settings.ranking);
    if ('failure' in tokens) throw new TatokError('tokens-invalid', `${row.path}: ${tokens.failure}`);
    return {
      params: { tokens, cropMode: recipe.crop, settings, everyCode: tokens.keep.every((kept) => kept === 1) },
      original: await originalOfRow(this.folder, recipe.input.sources ?? [], row),
      origin: { note: null, row: { index: this.index, count: countOf(dataset), path: row.path } },
    };
  }

  /**
   * Goes to another row.
   *
   * @returns false where it stays.
   * @throws TatokError of a data set that cannot be read.
   */
  async choose(choice: RowChoice): Promise<boolean> {
    const dataset = await this.open();
    const current = this.index ?? 0;
    const wanted = choice === 'list' ? await this.ask(dataset, current) : choice === 'next' ? current + 1 : current - 1;
    if (wanted === undefined || wanted < 0 || wanted >= countOf(dataset) || wanted === this.index) return false;
    this.index = wanted;
    this.chosen = true;
    return true;
  }

  private async open(): Promise<TokenDataset> {
    if (this.uri.scheme !== 'file') {
      throw new TatokError(
        'tokens-invalid',
        `Token data sets are read from files, not from ${this.uri.scheme}: folders.`,
        'Copy the folder to this machine.',
      );
    }
    this.dataset ??= await TokenDataset.open(this.folder);
    if (countOf(this.dataset) > 0) return this.dataset;
    throw new TatokError('tokens-invalid', `${this.name} has no rows yet.`, 'Finish it, then try again.');
  }

  private async firstWithTokens(dataset: TokenDataset): Promise<number> {
    const [first] = dataset.shards;
    const rows = first === undefined ? [] : await this.rowsOf(dataset, first);
    return Math.max(
      0,
      rows.findIndex(({ error }) => error === null),
    );
  }

  private async rowAt(dataset: TokenDataset, index: number): Promise<TokenRow> {
    let start = 0;
    for (const shard of dataset.shards) {
      const row = index < start + shard.rows ? (await this.rowsOf(dataset, shard))[index - start] : undefined;
      if (row !== undefined) return row;
      start += shard.rows;
    }
    throw new TatokError('tokens-invalid', `${this.name} has no row ${index}.`);
  }

  private async rowsOf(dataset: TokenDataset, shard: Shard): Promise<readonly TokenRow[]> {
    if (this.held?.file !== shard.file) this.held = { file: shard.file, rows: await dataset.readShard(shard) };
    return this.held.rows;
  }

  private async ask(dataset: TokenDataset, current: number): Promise<number | undefined> {
    const title = plain`Choose a Row of ${this.name}`;
    const starts: (readonly [shard: Shard, start: number])[] = [];
    let count = 0;
    for (const shard of dataset.shards) {
      starts.push([shard, count]);
      count += shard.rows;
    }
    if (count <= mostListed) return this.askFor(dataset, starts, title, current);
    const items = starts.map(([shard, start]) => ({
      label: plain`${shard.file}`,
      description: plain`rows ${start} to ${start + shard.rows - 1}`,
      part: [[shard, start]] as const,
    }));
    const chosen = await window.showQuickPick(items, { title, matchOnDescription: true });
    return chosen && this.askFor(dataset, chosen.part, title, current);
  }

  private async askFor(
    dataset: TokenDataset,
    shards: readonly (readonly [shard: Shard, start: number])[],
    title: Plain,
    current: number,
  ): Promise<number | undefined> {
    const items = shards.map(async ([shard, start]) => {
      const rows = await dataset.readShard(shard, ['path', 'label', 'error']);
      return rows.map(({ path, label, error }, i) => ({
        label: plain`${path}`,
        description: plain`${start + i}${label === null ? '' : ` · ${label}`}${start + i === current ? ' · shown' : ''}`,
        ...(error !== null && { detail: plain`${error}` }),
        row: start + i,
      }));
    });
    const listed = Promise.all(items).then((each) => each.flat());
    const chosen = await window.showQuickPick(listed, { title, matchOnDescription: true, matchOnDetail: true });
    return chosen?.row;
  }
}

/** Rows that are there: those of whole shards. */
function countOf({ shards }: TokenDataset): number {
  return shards.reduce((sum, { rows }) => sum + rows, 0);
}
