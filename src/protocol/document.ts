/**
 * The whole contract between an inspector panel (extension host) and its webview.
 *
 * The webview asks, the host answers; the host only notifies of progress, of a decoded picture and its tokens (also after the
 * file changed) and of failure. The host checks all that a page sends (`schemas.ts`), and a page names nothing but what the host offered: models
 * by their ids, exports by their kinds. Typed arrays travel as they are. State that must survive hiding and reloading is the webview's own
 * (`vscode.setState`), the host only hands back what the serializer kept.
 */
import { NotificationType, NotificationType0, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type * as z from 'zod/mini';
import type { Edits } from '../method/edits';
import type { CropMode, FilterSettings, ModelDescription, ProviderReport, Tokenized } from '../method/types';
import type { Progress } from './analyses';
import type { DecodedPicture } from './engineMessages';
import type { ErrorData } from './errorTransfer';
import type { ExportKind, ExportRequest } from './exports';
import type {
  editRequest,
  failureAction,
  modelRequest,
  neighbourRequest,
  rememberedView,
  restoredPage,
  rowChoice,
  travelChoice,
} from './schemas';

export interface InspectedDocument {
  /** File name shown in the header. */
  readonly name: string;
  readonly uri: string;
  /** Absent for an image; the tokens of one picture, or of many, of which one is shown. */
  readonly tokens?: 'file' | 'dataset' | undefined;
  /** Filter settings of a page that remembers none of its own; absent: the host's. */
  readonly settings?: FilterSettings | undefined;
  /** Folder of the model chosen for it in a comparison, for the page to remember; absent: the configured one. */
  readonly model?: string | undefined;
  /** How a page begins that remembers nothing of its own: the state of another, as text. */
  readonly view?: string | undefined;
}

/** Global tokens of an image that the user chose, tokenized as the document is. */
export interface OtherTokens {
  /** Of its file. */
  readonly name: string;
  /** Hash of the model. */
  readonly model: string;
  readonly globalCodes: Int32Array;
}

export type NeighbourRequest = z.infer<typeof neighbourRequest>;
export type RememberedView = z.infer<typeof rememberedView>;

/** A failure as the user sees it: one sentence, and buttons for the next step. */
export interface Failure {
  readonly message: string;
  readonly actions: readonly FailureAction[];
}

export type FailureAction = z.infer<typeof failureAction>;

/** Tokens with all that is needed to draw them. The page asks for their ranking and reconstruction itself. */
export interface InspectedTokenization extends Tokenized {
  readonly model: ModelDescription;
  readonly provider: ProviderReport;
  /** Absent where an image was tokenized. */
  readonly origin?: TokensOrigin | undefined;
}

/** The file that tokens come from, and what it does not hold. */
export interface TokensOrigin {
  /** Name of the picture that they were made of; null: it was not found, and what they decode to is in its place. */
  readonly original: string | null;
  /** One sentence on what the file does not say. */
  readonly note: string | null;
  /** Of a data set, the row that is shown. */
  readonly row: ShownRow | null;
  /** False where the codes of dropped patches are not in the file. */
  readonly everyCode: boolean;
  /** Of a file that can be edited, what is changed in it: tokens are those without. */
  readonly edits: Edits | null;
}

/** A row of a token data set. */
export interface ShownRow {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly path: string;
}

/** A model bundle that the user may choose. */
export interface ModelOption {
  /** Names it to the host, which knows its folder. */
  readonly id: string;
  readonly label: string;
}

export interface ModelMenu {
  /** The model in use. */
  readonly current: string;
  /** Folder of the model in use, on the machine of the extension host. */
  readonly directory: string;
  readonly options: readonly ModelOption[];
}

export type EditRequest = z.infer<typeof editRequest>;
export type Travel = z.infer<typeof travelChoice>;
export type RowChoice = z.infer<typeof rowChoice>;

export type ModelRequest = z.infer<typeof modelRequest>;

/** The part of a page's kept state that decides how the picture is tokenized. */
export type RestoredPage = z.infer<typeof restoredPage>;

/** Sent once by the webview when it can receive; the host then tokenizes and notifies. */
export const ready = new RequestType<RestoredPage, InspectedDocument, ErrorData>('ready');
/** The settings that the page now filters with, for what the host does with the page: a comparison starts with them. */
export const filtering = new NotificationType<FilterSettings>('filtering');
/** Writes ε, β, budget and ranking criterion to the workspace's settings (or the user's, without a workspace). */
export const saveDefaults = new RequestType<FilterSettings, void, ErrorData>('settings/save');
/** Asks where to save an export and saves it. Answers the name of the file, or null when the user chose none. */
export const saveExport = new RequestType<ExportRequest, string | null, ErrorData>('export');
export const models = new RequestType0<ModelMenu, ErrorData>('models');
/**
 * Tokenizes this document with another model; rejected, with everything as it was, when that cannot be loaded. The answer
 * tells whether one was chosen.
 */
export const chooseModel = new RequestType<ModelRequest, boolean, ErrorData>('models/choose');
/** The model chosen for a side of a comparison, as the page is to remember it. */
export const modelKept = new NotificationType<{ readonly model: string }>('models/kept');
/** Tokenizes the document in another way. */
export const chooseCropMode = new NotificationType<CropMode>('cropMode/choose');
/** Changes a token file: all edits that it now has, and the name of the last. VS Code can undo it. */
export const edit = new NotificationType<EditRequest>('edit');
/** Undoes or redoes as VS Code's own command does, which knows the changes of a token file. */
export const travel = new NotificationType<Travel>('travel');
/** Shows another row of a data set: the one before or after, or one that the host asks for. */
export const chooseRow = new NotificationType<RowChoice>('row/choose');
/** Asks for another image and tokenizes it; null when the user chose none. */
export const chooseOther = new RequestType0<OtherTokens | null, ErrorData>('tokens/other');
/** Shows the next or the previous image of the folder in place of this one. Answers whether there is one. */
export const openNeighbour = new RequestType<NeighbourRequest, boolean, ErrorData>('neighbour/open');
/** How pages of other images begin, from now on. */
export const rememberView = new NotificationType<RememberedView>('view/remember');
/** A button of a failure was pressed. */
export const runAction = new NotificationType<FailureAction>('action');
export const cancel = new NotificationType0('cancel');

export const progressed = new NotificationType<Progress>('progressed');
/** The picture that is being tokenized; the tokens that follow are of the last one. */
export const pictured = new NotificationType<DecodedPicture>('pictured');
export const tokenized = new NotificationType<Omit<InspectedTokenization, 'image'>>('tokenized');
/** Edits of a token file, whichever page or command made them. */
export const edited = new NotificationType<Edits>('edited');
export const failed = new NotificationType<Failure>('failed');
/** A command asks the page to export what it shows, or to copy the view. */
export const exportRequested = new NotificationType<{ readonly kind: ExportKind | 'copy' }>('export/requested');
/** Which page a webview shows: the root's `data-page`. */
export type PageName = 'inspector' | 'comparison' | 'dataset' | 'modelTable';
