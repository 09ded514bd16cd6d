/** One sentence on why an execution provider could not be used, out of what ONNX Runtime throws. */
import { constants } from 'node:os';
import { join } from 'node:path';
import type { ProviderName } from '../method/types';
import { cudaDirectoryVariable, cudaReasonVariable } from '../cuda/environment';
import { cudaProviderLibrary, runtimeVersion } from '../cuda/requirements';

export function explainProviderFailure(provider: ProviderName, error: unknown): string {
  const message = messageOf(error);
  if (/backend not found|no available backend/i.test(message)) {
    return `This build of ONNX Runtime has no ${provider} on ${process.platform}-${process.arch}.`;
  }
  if (provider === 'cuda' && /Failed to load shared library/i.test(message)) {
    // What discovery missed tells more than the first file that the loader stumbled over.
    return process.env[cudaReasonVariable] ?? sentence(loaderMessage(process.env[cudaDirectoryVariable]) ?? message);
  }
  return sentence(message);
}

/**
 * What the dynamic loader says of the CUDA provider. ONNX Runtime only logs it; asking again tells which library is missing.
 * Only called after ONNX Runtime itself failed to load the library, so that nothing of it is running.
 */
function loaderMessage(directory: string | undefined): string | undefined {
  if (directory === undefined) return undefined;
  try {
    process.dlopen({ exports: {} }, join(directory, cudaProviderLibrary), constants.dlopen.RTLD_LAZY);
    return undefined;
  } catch (error) {
    const message = messageOf(error);
    // So it was loaded, as the module for Node that it is not.
    if (/did not self-register/i.test(message)) {
      return `ONNX Runtime ${runtimeVersion} does not take the provider’s libraries, though all that they need was found`;
    }
    const [, missing] = /^(\S+): cannot open shared object file: No such file/.exec(message) ?? [];
    return missing === undefined ? message : `${missing}, which the CUDA provider needs, was not found`;
  }
}

/**
 * The first line without what only ONNX Runtime's developers read ("[ONNXRuntimeError] : 1 : FAIL : ", "/file.cc:100 … was
 * false. "), ending in a full stop.
 */
export function sentence(error: unknown): string {
  const message = messageOf(error);
  // "….cc:154 … CudaCall(…) [with …] CUDA failure 35: driver version is insufficient ; GPU=-1 ; hostname=… ; file=…"
  const [cudaFailure] = /CUDA failure \d+: [^;\n]+/.exec(message) ?? [];
  if (cudaFailure !== undefined) return `${cudaFailure.trim().replace(/\.$/, '')}.`;
  const line = (message.split('\n')[0] ?? '')
    .replace(/^.*(\[ONNXRuntimeError\] : \d+ : \w+ : | was false\. )/, '')
    .trim();
  const text = line === '' ? 'It failed without saying why' : line;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
