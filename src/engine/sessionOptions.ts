/** What ONNX Runtime is told when it opens a graph on an execution provider. */
import type { InferenceSession } from 'onnxruntime-node';
import type { ModelChoice } from '../protocol/engineMessages';
import type { ProviderName } from '../method/types';

/**
 * The GPU's index is all that onnxruntime-node 1.29.0 passes on to the CUDA provider. `extra` becomes entries of the session's
 * configuration, but the provider that it appends reads none of its options there, neither as `ep.cuda.gpu_mem_limit` nor as
 * `ep.cudaexecutionprovider.gpu_mem_limit`: a value that is no number is not refused, and a limit of 4096 bytes limits nothing (tried
 * with the official provider of 1.29.0 on a stand-in for CUDA's runtime that counts what is allocated). So a memory limit is kept by
 * what can be told:
 *
 * - How many images go through a graph at once (batchSize.ts).
 * - That weights are allocated by themselves, not out of the arena, which doubles whenever it grows: three graphs of tatok-s-256, in float32,
 *   then took 146 MiB when they were opened instead of 223. It costs a few hundred allocations.
 */
export function sessionOptions(
  provider: ProviderName,
  { cudaDevice, cudaMemoryLimit }: Pick<ModelChoice, 'cudaDevice' | 'cudaMemoryLimit'>,
): InferenceSession.SessionOptions {
  const limited = provider === 'cuda' && cudaMemoryLimit !== undefined;
  return {
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
