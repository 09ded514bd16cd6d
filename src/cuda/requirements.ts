/** Requirements of ONNX Runtime's CUDA provider. */

/** Version of onnxruntime-node's runtime; a provider of any other version is refused or crashes. */
export const runtimeVersion = '1.29.0';

export const cudaProviderLibrary = 'libonnxruntime_providers_cuda.so';
/** Loaded by the runtime before any provider's own. */
export const sharedProviderLibrary = 'libonnxruntime_providers_shared.so';
export const providerLibraries = [sharedProviderLibrary, cudaProviderLibrary] as const;

export const driverLibrary = 'libcuda.so.1';

/** CUDA major version of the provider that set-up fetches; assumed where there is no provider to ask. */
const fetchedCudaMajor = 13;

/** Name of the folder that set-up keeps the provider's libraries in: another version is another folder. */
export const providerFolderName = `onnxruntime-${runtimeVersion}-cuda${fetchedCudaMajor}`;

/** Oldest Linux driver that runs programs of a CUDA major version (NVIDIA's CUDA toolkit release notes, minor version compatibility). */
const oldestDrivers: Readonly<Record<number, string>> = { 11: '450.80.02', 12: '525.60.13', 13: '580.65.06' };

export interface RequiredLibrary {
  readonly name: string;
  /** File name that the loader looks for. */
  readonly file: string;
  /** False for those that only some operators load when they run. */
  readonly always: boolean;
}

export interface Requirements {
  readonly cudaMajor: number;
  readonly oldestDriver: string | undefined;
  readonly libraries: readonly RequiredLibrary[];
}

const names: Readonly<Record<string, string>> = {
  libcudart: 'CUDA runtime',
  libcublas: 'cuBLAS',
  libcublasLt: 'cuBLASLt',
  libcurand: 'cuRAND',
  libcufft: 'cuFFT',
  libcudnn: 'cuDNN',
};

/**
 * @param needed what the provider's library names as needed; absent: those of the provider that set-up fetches.
 */
export function requirementsOf(needed: readonly string[] = needsOfFetched): Requirements {
  const cudaMajor =
    Number(needed.map((file) => /^libcudart\.so\.(\d+)$/.exec(file)?.[1]).find(Boolean)) || fetchedCudaMajor;
  const linked = needed.filter((file) => nameOf(file) !== undefined);
  // The provider opens these two by name when it first wants them: cuDNN always, cuFFT only for Fourier transforms.
  const opened = ['libcudnn.so.9', `libcufft.so.${cudaMajor - 1}`].filter((file) => !linked.includes(file));
  return {
    cudaMajor,
    oldestDriver: oldestDrivers[cudaMajor],
    libraries: [...linked, ...opened].map((file) => ({
      name: nameOf(file) ?? file,
      file,
      always: !file.startsWith('libcufft.'),
    })),
  };
}

/** As read from the provider of 1.29.0 for CUDA 13. */
const needsOfFetched = ['libcublasLt.so.13', 'libcublas.so.13', 'libcurand.so.10', 'libcudart.so.13'];

function nameOf(file: string): string | undefined {
  return names[file.slice(0, file.indexOf('.'))];
}

/** True if dotted version a is older than b. */
export function olderThan(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (const [index, part] of (right ?? []).entries()) {
    const other = left?.[index] ?? 0;
    if (other !== part) return other < part;
  }
  return false;
}
