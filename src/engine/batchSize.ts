/**
 * How many model images go through a graph at once.
 *
 * This is also what a memory limit on a GPU bounds: onnxruntime-node passes neither the CUDA provider's own limit on
 * (sessionOptions.ts) nor the run option that shrinks its arena, and the arena grows with the batch.
 */
import type { ModelDescription, ProviderName } from '../method/types';

/** Enough to fill a GPU; few enough to bound memory on a CPU, where larger batches gain nothing. */
const mostImages = { cpu: 2, other: 16 } as const;

/**
 * Bytes per pixel of a model image that the dearest graph, the encoder, holds while it runs: 40 MiB for an image of 256×256 pixels.
 * In float32 on the CPU the process grew by 37 MiB an image while tatok-s-256 encoded 16 of them twice (the second run adds what
 * ONNX Runtime plans after the first), by 31 MiB for 4; the entropy model and the decoder took less than 15. A model of another
 * shape takes more or less, float16 graphs take less; it was not measured on a GPU.
 */
const bytesPerPixel = 640;

/**
 * @param cudaMemoryLimit MiB that the batches of a graph may take on a GPU, besides the model's weights and what CUDA itself takes;
 *   undefined: no limit. A limit below a single image is exceeded by it.
 */
export function batchSize(
  provider: ProviderName,
  { imageSize }: Pick<ModelDescription, 'imageSize'>,
  cudaMemoryLimit: number | undefined,
): number {
  if (provider === 'cpu') return mostImages.cpu;
  if (provider !== 'cuda' || cudaMemoryLimit === undefined) return mostImages.other;
  const fitting = Math.floor((cudaMemoryLimit * 2 ** 20) / (bytesPerPixel * imageSize ** 2));
  return Math.min(mostImages.other, Math.max(1, fitting));
}
