/** Finds CUDA's parts on this machine: each with its place, or missing. Looks only; changes nothing. */
import { join } from 'node:path';
import { noDriver } from '../method/types';
import { findDriver, type Driver, type System } from './system';
import { librariesPlaces, pathOf, type Place, type Searched } from './places';
import {
  cudaProviderLibrary,
  driverLibrary,
  olderThan,
  providerLibraries,
  requirementsOf,
  runtimeVersion,
  type RequiredLibrary,
  type Requirements,
} from './requirements';

export interface DiscoveryOptions extends Searched {
  /** Where set-up keeps the provider's libraries. */
  readonly storage?: string | undefined;
  /** Folder of onnxruntime-node's binding. */
  readonly bindingDirectory: string;
  /** Asks for the names of the GPUs too, which takes longer. */
  readonly askForGpus?: boolean | undefined;
}

export type ProblemKind =
  | 'platform'
  | 'no-driver'
  | 'driver-too-old'
  | 'no-gpu'
  | 'provider-missing'
  | 'provider-broken'
  | 'wrong-major'
  | 'library-missing';

/** CUDA works when there is none. */
export interface Problem {
  readonly kind: ProblemKind;
  /** One sentence, whose first words say it all: lists cut what is too long. */
  readonly message: string;
  /** The library that the loader looks for, where several are missing. */
  readonly files?: readonly string[];
}

export interface FoundLibrary extends RequiredLibrary {
  readonly place: Place | undefined;
}

export interface ProviderFolder {
  readonly folder: string;
  /** Whose folder it is, for people. */
  readonly from: string;
}

export interface CudaDiscovery {
  readonly driver: Driver;
  readonly provider: ProviderFolder | undefined;
  readonly requirements: Requirements;
  readonly libraries: readonly FoundLibrary[];
  /** Paths of CUDA's libraries in Python environments that the loader finds by links alone. */
  readonly linked: readonly string[];
  readonly problems: readonly Problem[];
}

export async function discoverCuda(options: DiscoveryOptions, system: System): Promise<CudaDiscovery> {
  if (system.platform !== 'linux' || system.arch !== 'x64') return unsupported(system);
  const places = await librariesPlaces(options, system);
  const driver = await findDriver(system, places, options.askForGpus ?? false);
  const { provider, needed, problems: providerProblems } = await findProvider(options, system);
  const requirements = requirementsOf(needed);
  const libraries = requirements.libraries.map((library) => ({
    ...library,
    place: places.find(({ names }) => names.has(library.file)),
  }));
  const driverProblems = problemsOf(driver, requirements);
  return {
    driver,
    provider,
    requirements,
    libraries,
    linked: [
      ...linkedLibraries(places, libraries),
      ...(driver.library?.reach === 'links' ? [join(driver.library.folder, driverLibrary)] : []),
    ],
    problems: [...driverProblems, ...providerProblems, ...missing(libraries, places, requirements)],
  };
}

/** Libraries of CUDA and cuDNN, also those that others of them open by name; without the driver's, of which a machine has one. */
const cudaFamily = /^lib(cudart|cublas|cublasLt|curand|cufft|cudnn\w*|nvrtc\S*|nvJitLink|nvblas)\.so\.[\d.]+$/;

/**
 * All of CUDA in the Python environments that hold a library that is needed, because these libraries open others by name; but for
 * what is found elsewhere before.
 */
function linkedLibraries(places: readonly Place[], libraries: readonly FoundLibrary[]): string[] {
  const used = libraries.flatMap(({ place }) => place ?? []);
  const environments = new Set(used.filter(({ reach }) => reach === 'links').map(({ from }) => from));
  const seen = new Set<string>();
  return places
    .filter((place) => place.reach === 'itself' || used.includes(place) || environments.has(place.from))
    .flatMap(({ folder, names, reach }) => {
      const family = [...names].filter((name) => cudaFamily.test(name) && !seen.has(name));
      for (const name of family) seen.add(name);
      return reach === 'links' ? family.map((name) => join(folder, name)) : [];
    });
}

/** Why CUDA is not used, for the status bar: without a driver nothing else matters, unless the user asked for a folder. */
export function reasonOf({ problems }: CudaDiscovery, configured: string | undefined): string {
  const first = problems.find(({ kind }) => kind === 'no-driver' || kind === 'platform');
  const told =
    first === undefined
      ? problems
      : problems.filter(
          (problem) => problem === first || (configured !== undefined && problem.message.includes(configured)),
        );
  return told.map(({ message }) => message).join(' ');
}

interface ProviderSearch {
  readonly provider: ProviderFolder | undefined;
  readonly needed?: readonly string[];
  readonly problems: readonly Problem[];
}

async function findProvider(options: DiscoveryOptions, system: System): Promise<ProviderSearch> {
  const { libraryPath, storage, bindingDirectory } = options;
  const candidates: ProviderFolder[] = [
    ...(libraryPath ? [{ folder: libraryPath, from: 'the setting tatok.cuda.libraryPath' }] : []),
    ...(storage ? [{ folder: storage, from: 'set up by TaTok' }] : []),
    { folder: bindingDirectory, from: 'beside onnxruntime-node' },
    ...pathOf(system.env).map((folder) => ({ folder, from: 'LD_LIBRARY_PATH' })),
  ];
  const problems: Problem[] = [];
  for (const candidate of candidates) {
    const { folder } = candidate;
    const names = await system.list(folder);
    // Nothing is wrong with that: the setting's folder may hold only what a provider needs.
    if (!names.includes(cudaProviderLibrary)) continue;
    try {
      return { provider: candidate, needed: await neededIn(folder, names, system), problems: [] };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push({
        kind: 'provider-broken',
        message: `The CUDA provider cannot be used: ${why} (${join(folder, cudaProviderLibrary)}).`,
      });
    }
  }
  if (problems.length > 0) return { provider: undefined, problems };
  const lacks = libraryPath ? `is neither set up nor in ${libraryPath}` : 'is not set up';
  const message = `The CUDA provider of ONNX Runtime ${runtimeVersion} ${lacks}.`;
  return { provider: undefined, problems: [{ kind: 'provider-missing', message }] };
}

/** Libraries that the provider in a folder needs. @throws Error where it cannot be used. */
async function neededIn(folder: string, names: readonly string[], system: System): Promise<readonly string[]> {
  const absent = providerLibraries.find((name) => !names.includes(name));
  if (absent !== undefined) throw new Error(`there is no ${absent} beside it`);
  return system.needed(join(folder, cudaProviderLibrary));
}

function problemsOf(driver: Driver, { cudaMajor, oldestDriver }: Requirements): Problem[] {
  const { version, library, gpus } = driver;
  if (library === undefined && version === undefined) {
    return [{ kind: 'no-driver', message: noDriver }];
  }
  if (library === undefined) {
    return [
      {
        kind: 'no-driver',
        message: `NVIDIA’s driver ${version} has no libcuda.so.1 here, as in a container without its GPU.`,
      },
    ];
  }
  if (gpus?.length === 0) return [{ kind: 'no-gpu', message: 'NVIDIA’s driver finds no GPU.' }];
  if (version === undefined || oldestDriver === undefined || !olderThan(version, oldestDriver)) return [];
  return [
    {
      kind: 'driver-too-old',
      message: `NVIDIA’s driver ${version} is too old: CUDA ${cudaMajor} needs ${oldestDriver} or newer.`,
    },
  ];
}

/**
 * A sentence for the libraries that are not there. Where CUDA's runtime is one of them and there is one of another major version,
 * that says it for all of CUDA; beside the right runtime it would only hide what is missing.
 */
function missing(libraries: readonly FoundLibrary[], places: readonly Place[], { cudaMajor }: Requirements): Problem[] {
  const absent = libraries.filter(({ place, always }) => place === undefined && always);
  const noRuntime = absent.some(({ file }) => file.startsWith('libcudart.so.'));
  const other = noRuntime ? otherMajor(places, cudaMajor) : undefined;
  const rest = absent.filter(({ file }) => other === undefined || !file.endsWith(`.${cudaMajor}`));
  const problems: Problem[] = rest.length === 0 ? [] : [notFound(rest)];
  if (other === undefined) return problems;
  const message = `The provider needs CUDA ${cudaMajor}, but CUDA ${other.major} was found in ${other.folder}.`;
  return [{ kind: 'wrong-major', message }, ...problems];
}

function notFound(libraries: readonly RequiredLibrary[]): Problem {
  const files = libraries.map(({ file }) => file);
  const names = libraries.map(({ name }) => name);
  const last = names.pop() ?? '';
  return names.length === 0
    ? { kind: 'library-missing', message: `${last} (${files.join()}) was not found.` }
    : { kind: 'library-missing', message: `${names.join(', ')} and ${last} were not found.`, files };
}

function otherMajor(places: readonly Place[], wanted: number): { major: number; folder: string } | undefined {
  for (const { names, folder } of places) {
    for (const name of names) {
      const [, major] = /^libcudart\.so\.(\d+)$/.exec(name) ?? [];
      if (major !== undefined && Number(major) !== wanted) return { major: Number(major), folder };
    }
  }
  return undefined;
}

function unsupported({ platform, arch }: System): CudaDiscovery {
  return {
    driver: { version: undefined, library: undefined, gpus: undefined },
    provider: undefined,
    requirements: requirementsOf(),
    libraries: [],
    linked: [],
    problems: [{ kind: 'platform', message: `CUDA is not available on ${platform}-${arch}.` }],
  };
}

/** Advice on each part that discovery found missing: one sentence. */
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

/** True if {@link pipCommand} helps. */
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
