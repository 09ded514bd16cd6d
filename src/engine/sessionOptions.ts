/** Options with which ONNX Runtime opens a graph on an execution provider. */
import type { InferenceSession } from 'onnxruntime-node';
import type { ModelChoice } from '../protocol/engineMessages';
import type { ProviderName, ModelDescription } from '../method/types';

/**
 * The GPU's index is all that onnxruntime-node 1.29.0 passes on to the CUDA provider. `extra` becomes entries of the session's
 * configuration, but the provider that it appends reads none of its options there, neither as `ep.cuda.gpu_mem_limit` nor as
 * `ep.cudaexecutionprovider.gpu_mem_limit`: a value that is not a number is not refused, and a limit of 4096 bytes limits nothing (tried
 * with the official provider of 1.29.0 on a stand-in for CUDA's runtime that counts what is allocated). So a memory limit is kept by
 * the means that it has:
 *
 * - How many images go through a graph at once ({@link batchSize}).
 * - That weights are allocated by themselves, not out of the arena, which doubles whenever it grows: three graphs of tatok-s-256, in float32,
 *   then took 146 MiB when they were opened instead of 223. It costs a few hundred allocations.
 */
export function sessionOptions(
  provider: ProviderName,
  { cudaDevice, cudaMemoryLimit, threads }: Pick<ModelChoice, 'cudaDevice' | 'cudaMemoryLimit' | 'threads'>,
): InferenceSession.SessionOptions {
  const limited = provider === 'cuda' && cudaMemoryLimit !== undefined;
  return {
    ...(threads !== undefined && { intraOpNumThreads: threads }),
    executionProviders: [provider === 'cuda' ? { name: provider, deviceId: cudaDevice ?? 0 } : provider],
    extra: {
      session: {
        // Threads that spin while they wait gain a fifth where nothing else runs, and lose half where an editor does.
        intra_op: { allow_spinning: '0' },
        ...(limited && { use_device_allocator_for_initializers: '1' }),
      },
    },
    // 3 is ORT's "error"; failures arrive as exceptions, warnings about placed operators help nobody.
    logSeverityLevel: 3,
  };
}

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
 * The number of model images that go through a graph at once.
 *
 * It is also the quantity that a memory limit on a GPU bounds: onnxruntime-node passes neither the CUDA provider's own limit on
 * (see {@link sessionOptions}) nor the run option that shrinks its arena, and the arena grows with the batch.
 *
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
  const fitting = Math.floor((cudaMemoryLimit * 2 ** 20) / (bytesPerPixel * imageSize.width * imageSize.height));
  return Math.min(mostImages.other, Math.max(1, fitting));
}
