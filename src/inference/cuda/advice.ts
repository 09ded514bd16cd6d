/** What to do about what discovery found missing: one sentence each. */
import type { CudaDiscovery, Problem } from './discovery';
import type { Requirements } from './requirements';

export function adviceOn({ kind }: Problem, { requirements }: CudaDiscovery): string | undefined {
  const { cudaMajor, oldestDriver } = requirements;
  switch (kind) {
    case 'no-driver':
      return 'Install NVIDIA’s driver, or start the container with its GPUs (docker run --gpus all); without an NVIDIA GPU nothing is lost but speed.';
    case 'driver-too-old':
      return `Install NVIDIA’s driver ${oldestDriver ?? ''} or newer.`;
    case 'no-gpu':
      return 'Check that the GPU is visible to this machine and not hidden by CUDA_VISIBLE_DEVICES.';
    case 'provider-missing':
    case 'provider-broken':
      return 'Fetch it below, or choose a folder or archive that holds it.';
    case 'wrong-major':
    case 'library-missing':
      return `In the workspace’s Python environment run “${pipCommand(requirements)}”, or install the CUDA ${cudaMajor} toolkit and cuDNN 9.`;
    case 'platform':
      return undefined;
  }
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
