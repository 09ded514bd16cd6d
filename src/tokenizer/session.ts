/** What the graphs need of a session, whichever thread it runs in. */
import type { InferenceSession } from 'onnxruntime-node';

export interface Session {
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];

  /** @param fetches names of the outputs that are wanted. @throws Error of ONNX Runtime. */
  run(feeds: InferenceSession.OnnxValueMapType, fetches: readonly string[]): Promise<InferenceSession.OnnxValueMapType>;

  /** Frees what the session holds; it cannot be used afterwards. */
  release(): Promise<void>;
}
