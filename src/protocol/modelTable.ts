/**
 * Messages between the page of a table of models and the extension host, which computes the rows. The page sorts them and names them by
 * their places; what it may send is in `schemas.ts`.
 */
import { NotificationType, NotificationType0, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type * as z from 'zod/mini';
import type { TableRow } from '../method/modelTable';
import type { ErrorData } from './errorTransfer';
import type { tableExport } from './schemas';

export const tableKinds = ['models.csv', 'models.tex'] as const;

export interface TableState {
  /** Names of the images. */
  readonly images: readonly string[];
  /** Rows that have a result, models and formats. */
  readonly rows: readonly TableRow[];
  /** The model's row at whose bytes formats are. */
  readonly reference: number;
  /** Tokenizations and encodings done, of how many; `stopped` may be gone on with. */
  readonly progress: {
    readonly done: number;
    readonly total: number;
    readonly phase: 'running' | 'stopped' | 'complete';
  };
}

export type TableExport = Readonly<z.infer<typeof tableExport>>;

/** A page that is ready is sent the state after the answer. */
export const ready = new RequestType0<{ readonly name: string }, ErrorData>('ready');
export const cancel = new NotificationType0('cancel');
export const resume = new NotificationType0('resume');
/** Has formats be at the bytes of another model's row, by its place. */
export const chooseReference = new NotificationType<number>('table/reference');
/** Asks where to save the table and saves it. Answers the name of the file, or null when the user chose none. */
export const saveTable = new RequestType<TableExport, string | null, ErrorData>('table/save');

export const tableChanged = new NotificationType<TableState>('table/changed');
