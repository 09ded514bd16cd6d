/** The part of a session that the graphs need, whichever thread it runs in. */
import type { InferenceSession } from 'onnxruntime-node';

export interface GraphSession {
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
  /** True once nothing can be run any more, though nobody released it. */
  readonly ended?: boolean;

  /** @param fetches names of the outputs that are wanted. @throws Error of ONNX Runtime. */
  run(feeds: InferenceSession.OnnxValueMapType, fetches: readonly string[]): Promise<InferenceSession.OnnxValueMapType>;

  /** Frees what the session holds; it cannot be used afterwards. */
  release(): Promise<void>;
}
