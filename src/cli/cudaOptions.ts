/** CUDA for the command line. */
import { join } from 'node:path';
import type { CudaOptions } from '../cuda/environment';

/** Where all its programs look for CUDA, besides where it is looked for anyway: in the checkout's own Python environment. */
export function cudaOptionsIn(checkout: string): CudaOptions {
  return { environments: [{ folder: join(checkout, '.venv'), from: 'this checkout’s .venv' }] };
}
