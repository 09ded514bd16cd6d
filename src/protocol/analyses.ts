/**
 * The analyses of a tokenized picture: one interface, by which the page asks the extension host and the host asks the inference process.
 * The host relays analyses by name and knows none of them. A new one is declared here, with the schema of its request in `schemas.ts`,
 * computed in `engine/openPicture.ts` and shown in the page.
 */
import { ProgressType, RequestType, type CancellationToken, type MessageConnection } from 'vscode-jsonrpc';
import type * as z from 'zod/mini';
import type { Anchor, AnchorPoint } from '../method/anchors';
import { TatokError } from '../method/errors';
import type {
  AttentionMap,
  DrawnCodes,
  FilterSettings,
  InfluenceMap,
  Measurement,
  NearEntry,
  Ranking,
  Reconstruction,
  Stage,
  StageTimings,
  TileProgress,
} from '../method/types';
import type { ErrorData } from './errorTransfer';
import type { analysisRequests } from './schemas';

/** Every method takes one value that can be cloned, and how the call is followed; it rejects with a TatokError. */
export interface Analyses {
  /** The order of dropping under some β and ranking criterion; ε and budget have no part in it. */
  rank(settings: FilterSettings, call?: Call): Promise<Ranking>;
  /** The kept set under some settings and edits, and the picture that it decodes to. */
  reconstruct(request: ReconstructRequest, call?: Call): Promise<Reconstruction & { readonly timings: StageTimings }>;
  /** Points of the rate–distortion curve, in the order of the loss rates. Short lists let other requests in between. */
  measure(request: MeasureRequest, call?: Call): Promise<readonly Measurement[]>;
  /** Influence of one global token at a time, so that other requests get in between. */
  influence(request: InfluenceRequest, call?: Call): Promise<InfluenceMap>;
  attention(request: AttentionRequest, call?: Call): Promise<AttentionMap>;
  /** An animated picture file of the reconstructions at some loss rates. */
  sweep(request: SweepRequest, call?: Call): Promise<Uint8Array>;
  /** The entries nearest to each code of a patch, in the table of its codebook: one list for each residual code. */
  nearest(request: NearestRequest, call?: Call): Promise<readonly (readonly NearEntry[])[]>;
  /** The photograph in a common format, within the bytes of its tokens. Other requests get in between its files. */
  anchor(request: AnchorRequest, call?: Call): Promise<Anchor>;
  /** The same within several limits, in their order, without pictures. */
  anchorCurve(request: AnchorCurveRequest, call?: Call): Promise<readonly AnchorPoint[]>;
  /** Codes for the dropped patches, drawn from the entropy model given the kept tokens. */
  draw(request: DrawRequest, call?: Call): Promise<DrawnCodes>;
}

/** The request of an analysis, as its schema has it. */
type RequestOf<Name extends keyof typeof analysisRequests> = z.infer<ReturnType<(typeof analysisRequests)[Name]>>;
export type ReconstructRequest = RequestOf<'reconstruct'>;
export type MeasureRequest = RequestOf<'measure'>;
export type InfluenceRequest = RequestOf<'influence'>;
export type NearestRequest = RequestOf<'nearest'>;
export type DrawRequest = RequestOf<'draw'>;
export type AttentionRequest = RequestOf<'attention'>;
export type SweepRequest = RequestOf<'sweep'>;
export type AnchorRequest = RequestOf<'anchor'>;
export type AnchorCurveRequest = RequestOf<'anchorCurve'>;

/** The place of the pipeline. */
export interface Progress {
  readonly stage: Stage;
  /** Absent unless the picture has several tiles. */
  readonly tiles?: TileProgress | undefined;
}

/** How a call is followed and ended. */
export interface Call {
  readonly token?: CancellationToken | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** An analysis as it crosses a border. */
export interface AnalysisRequest {
  readonly name: string;
  readonly params: unknown;
}

/** Asks for an analysis by name. */
export type Ask = (request: AnalysisRequest, call: Call) => Promise<unknown>;

/** The interface in place of its names: every method asks for the analysis of its name. */
export function analysesBy(ask: Ask): Analyses {
  const methods = new Proxy<Record<string, unknown>>(
    {},
    {
      get: (_target, name) =>
        // A value with a method `then` would be taken for a promise.
        typeof name === 'string' && name !== 'then'
          ? (params: unknown, call: Call = {}) => ask({ name, params }, call)
          : undefined,
    },
  );
  return methods as unknown as Analyses;
}

/** Computes an analysis by name. @throws TatokError bad-settings for a name that there is not. */
export async function compute(analyses: Analyses, { name, params }: AnalysisRequest, call: Call): Promise<unknown> {
  const method: unknown = Object.hasOwn(analyses, name) ? Reflect.get(analyses, name) : undefined;
  if (typeof method !== 'function') throw new TatokError('bad-settings', `There is no analysis named ${name}.`);
  return (await Reflect.apply(method, analyses, [params, call])) as unknown;
}

/** JSON-RPC's own progress, named by a number that the asking side chooses. */
export const progressed = new ProgressType<Progress>();

/** From a page to the extension host. */
export const pageAnalysis = new RequestType<AnalysisRequest & { readonly progress?: number }, unknown, ErrorData>(
  'analysis',
);

/** The analyses of the document on the other side of a page's connection. */
export function analysesOver(connection: MessageConnection): Analyses {
  let calls = 0;
  return analysesBy(async (request, { token, onProgress }) => {
    if (onProgress === undefined) return connection.sendRequest(pageAnalysis, request, token);
    const progress = ++calls;
    const listening = connection.onProgress(progressed, progress, onProgress);
    try {
      return await connection.sendRequest(pageAnalysis, { ...request, progress }, token);
    } finally {
      listening.dispose();
    }
  });
}

/** Answers a page. @param ask rejects with a ResponseError. */
export function answerAnalyses(connection: MessageConnection, ask: Ask): void {
  connection.onRequest(pageAnalysis, ({ progress, ...request }, token) =>
    ask(request, {
      token,
      ...(progress !== undefined && {
        onProgress: (news) => {
          if (token.isCancellationRequested) return;
          void connection.sendProgress(progressed, progress, news).catch(() => undefined);
        },
      }),
    }),
  );
}
