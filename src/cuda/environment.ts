/**
 * CUDA for the inference process: environment set before it starts, because a dynamic loader reads its path only then.
 *
 * ONNX Runtime loads libonnxruntime_providers_{shared,cuda}.so from the folder that libonnxruntime.so.1 itself was loaded from and
 * from nowhere else; the loader's path alone does not lead there. But that path comes before the binding's own run path, so a
 * private folder that links the binding's own libonnxruntime.so.1 beside the provider's libraries makes ONNX Runtime find them
 * without touching the installed package. The CUDA and cuDNN libraries that the provider needs are found by the loader's path.
 */
import { createHash } from 'node:crypto';
import { mkdir, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path';
import { discoverCuda, reasonOf, type CudaDiscovery } from './discovery';
import { pathOf, type Searched } from './places';
import { providerLibraries } from './requirements';
import { thisSystem, type System } from './system';

const runtimeLibrary = 'libonnxruntime.so.1';

/** Read by the inference process: where the provider's libraries lie, or why there are none. */
export const cudaDirectoryVariable = 'TATOK_CUDA_DIRECTORY';
export const cudaReasonVariable = 'TATOK_CUDA_REASON';

export interface CudaOptions extends Searched {
  /** Where set-up keeps the provider's libraries. */
  readonly storage?: string | undefined;
  /** Where the private folder is made; absent: the user's cache. */
  readonly cacheDirectory?: string | undefined;
}

export interface CudaEnvironment {
  /** Folders for the front of the loader's path; the first one holds the provider's libraries. Empty without a provider. */
  readonly libraryPath: readonly string[];
  /** Missing parts, for the status bar; empty when nothing is known to be missing. */
  readonly reason: string;
}

/** Looks for CUDA as an inference process started from `modulePath` would use it. */
export function discoverFor(
  modulePath: string,
  options: CudaOptions & { readonly askForGpus?: boolean },
  system: System = thisSystem,
): Promise<CudaDiscovery> {
  return discoverCuda({ ...options, bindingDirectory: bindingDirectoryOf(modulePath) }, system);
}

/** The loader's path for what was discovered. A provider is worth a try even where something seems to be missing. */
export async function cudaEnvironment(
  discovery: CudaDiscovery,
  options: CudaOptions,
  bindingDirectory: string,
  system: System = thisSystem,
): Promise<CudaEnvironment> {
  const reason = reasonOf(discovery, options.libraryPath);
  const { provider, driver, libraries, linked } = discovery;
  if (provider === undefined) return { libraryPath: [], reason };
  const places = [...libraries.map(({ place }) => place), driver.library].filter((place) => place !== undefined);
  const folders = places.filter(({ reach }) => reach === 'folder').map(({ folder }) => folder);
  const first = await linkTogether(
    [
      join(bindingDirectory, runtimeLibrary),
      ...providerLibraries.map((name) => join(provider.folder, name)),
      ...linked,
    ],
    options.cacheDirectory ?? userCache(system),
  );
  return { libraryPath: [...new Set([first, ...folders])], reason };
}

/** Environment variables of the inference process that make its CUDA provider usable, and say what is missing. */
export async function cudaVariables(
  options: CudaOptions,
  modulePath: string,
  system: System = thisSystem,
): Promise<Record<string, string>> {
  const { libraryPath, reason } = await prepare(modulePath, options, system);
  const reasons = reason === '' ? {} : { [cudaReasonVariable]: reason };
  const [directory] = libraryPath;
  if (directory === undefined) return reasons;
  return {
    ...reasons,
    [cudaDirectoryVariable]: directory,
    LD_LIBRARY_PATH: [...libraryPath, ...pathOf(system.env)].join(delimiter),
  };
}

/** CUDA that cannot even be looked for is a reason not to use it, never a failure. */
async function prepare(modulePath: string, options: CudaOptions, system: System): Promise<CudaEnvironment> {
  try {
    const discovery = await discoverFor(modulePath, options, system);
    return await cudaEnvironment(discovery, options, bindingDirectoryOf(modulePath), system);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { libraryPath: [], reason: `The CUDA libraries could not be prepared: ${message}.` };
  }
}

/** The folder of the binding that a module of the inference process would load. */
function bindingDirectoryOf(modulePath: string): string {
  const entry = createRequire(modulePath).resolve('onnxruntime-node');
  return join(dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
}

/** A folder with links to these files. Named by their places, so it is made once. */
async function linkTogether(targets: readonly string[], cache: string): Promise<string> {
  const key = createHash('sha256').update(targets.join('\0')).digest('hex').slice(0, 16);
  const linked = join(cache, `cuda-${key}`);
  await mkdir(linked, { recursive: true, mode: 0o700 });
  for (const target of targets) {
    await symlink(target, join(linked, basename(target))).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }
  return linked;
}

/** XDG's rule: a cache folder that is empty or relative counts as none. */
function userCache({ env, home }: System): string {
  const cache = env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(cache) ? cache : join(home, '.cache'), 'tatok-inspector');
}
