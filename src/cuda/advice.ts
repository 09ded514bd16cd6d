/** What to do about what discovery found missing: one sentence each. */
import type { CudaDiscovery, Problem } from './discovery';
import type { Requirements } from './requirements';

export function adviceOn({ kind }: Problem, { requirements }: Pick<CudaDiscovery, 'requirements'>): string | undefined {
  const { cudaMajor, oldestDriver } = requirements;
  switch (kind) {
    case 'no-driver':
      return 'Install it, or give the container its GPUs (docker run --gpus all); else the CPU is used.';
    case 'driver-too-old':
      return `Install NVIDIA’s driver ${oldestDriver ?? ''} or newer.`;
    case 'no-gpu':
      return 'Check that the GPU is visible to this machine and not hidden by CUDA_VISIBLE_DEVICES.';
    case 'provider-missing':
    case 'provider-broken':
      return 'Fetch it with TaTok: Set Up CUDA…, or choose a local archive or folder there.';
    case 'wrong-major':
    case 'library-missing':
      return `Install NVIDIA’s packages with pip, or the CUDA ${cudaMajor} toolkit and cuDNN 9.`;
    case 'platform':
      return undefined;
  }
}

/** Whether {@link pipCommand} helps. */
export function pipHelps({ problems }: Pick<CudaDiscovery, 'problems'>): boolean {
  return problems.some(({ kind }) => kind === 'library-missing' || kind === 'wrong-major');
}

/** Installs all that the provider needs, in any Python environment that discovery knows. */
export function pipCommand({ cudaMajor }: Requirements): string {
  // From CUDA 13 on NVIDIA names its packages without the version.
  const suffix = cudaMajor >= 13 ? '' : `-cu${cudaMajor}`;
  const version = cudaMajor >= 13 ? `==${cudaMajor}.*` : '';
  const packages = [
    `nvidia-cublas${suffix}${version}`,
    `nvidia-cuda-runtime${suffix}${version}`,
    `nvidia-curand${suffix}`,
  ];
  return `pip install ${[...packages, `nvidia-cudnn-cu${cudaMajor}`].map((name) => (name.includes('*') ? `"${name}"` : name)).join(' ')}`;
}
