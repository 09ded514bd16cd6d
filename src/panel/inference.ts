import type { CancellationToken } from 'vscode-jsonrpc/node';
import type { AttentionParams, LoadedModel, ReconstructParams, TokenizeParams } from '../protocol/inference';
import type { AttentionMap, Reconstruction, Stage, StageTimings, Tokenization } from '../tokenizer/types';

/** What the panels need of the inference process. */
export interface Inference {
  /** Keeps the process alive until the lease is disposed. */
  acquire(): { dispose(): void };
  tokenize(
    params: Omit<TokenizeParams, 'progressId'>,
    token: CancellationToken,
    onProgress: (stage: Stage) => void,
  ): Promise<Tokenization & LoadedModel>;
  reconstruct(
    params: ReconstructParams,
    token: CancellationToken,
  ): Promise<Reconstruction & { readonly timings: StageTimings }>;
  attention(params: AttentionParams, token: CancellationToken): Promise<AttentionMap>;
}
