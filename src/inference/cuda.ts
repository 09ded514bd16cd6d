/**
 * CUDA for the inference process: environment set before it starts, because a dynamic loader reads its path only then.
 *
 * ONNX Runtime loads libonnxruntime_providers_{shared,cuda}.so from the folder that libonnxruntime.so.1 itself was loaded from and
 * from nowhere else; the loader's path alone does not lead there. But that path comes before the binding's own run path, so a
 * private folder that links the binding's own libonnxruntime.so.1 beside the provider's libraries makes ONNX Runtime find them
 * without touching the installed package. The CUDA and cuDNN libraries that the provider needs are found by the loader's path.
 */
import { createHash } from 'node:crypto';
import { mkdir, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export const cudaProviderLibrary = 'libonnxruntime_providers_cuda.so';
const providerLibraries = ['libonnxruntime_providers_shared.so', cudaProviderLibrary];
const runtimeLibrary = 'libonnxruntime.so.1';

/** Read by the inference process: where the provider's libraries lie, or why there are none. */
export const cudaDirectoryVariable = 'TATOK_CUDA_DIRECTORY';
export const cudaReasonVariable = 'TATOK_CUDA_REASON';

export interface CudaOptions {
  /** Folder with the provider's libraries and, unless they are installed, CUDA's and cuDNN's; absent: only the usual places. */
  readonly libraryPath?: string | undefined;
  /** Where the private folder may be made; absent: the user's cache. */
  readonly cacheDirectory?: string | undefined;
}

export interface CudaEnvironment {
  /** Folders for the front of the loader's path; the first one holds the provider's libraries. Empty when there are none. */
  readonly libraryPath: readonly string[];
  /** Why CUDA cannot be used, a sentence for each place; empty when the provider's libraries were found. */
  readonly reasons: readonly string[];
}

/** Finds the libraries of ONNX Runtime's CUDA provider. `bindingDirectory` is the folder of onnxruntime-node's binding. */
export async function cudaEnvironment(options: CudaOptions, bindingDirectory: string): Promise<CudaEnvironment> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { libraryPath: [], reasons: [`CUDA is not available on ${process.platform}-${process.arch}.`] };
  }
  const reasons: string[] = [];
  const loaderPath = (process.env['LD_LIBRARY_PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const configured = options.libraryPath ? [options.libraryPath] : [];
  for (const folder of [...configured, bindingDirectory, ...loaderPath]) {
    const missing = await firstMissing(folder, providerLibraries);
    if (missing === undefined) {
      const linked =
        folder === bindingDirectory ? folder : await linkBeside(folder, bindingDirectory, options.cacheDirectory);
      return { libraryPath: [linked, ...configured], reasons: [] };
    }
    if (folder === options.libraryPath) reasons.push(`${folder} holds no ${missing}.`);
  }
  return { libraryPath: [], reasons: reasons.length > 0 ? reasons : [`${cudaProviderLibrary} was not found.`] };
}

/** Environment variables of the inference process that make its CUDA provider usable, or say why it is not. */
export async function cudaVariables(options: CudaOptions, modulePath: string): Promise<Record<string, string>> {
  const { libraryPath, reasons } = await findFor(modulePath, options);
  const [directory] = libraryPath;
  if (directory === undefined) return { [cudaReasonVariable]: reasons.join(' ') };
  const inherited = process.env['LD_LIBRARY_PATH'];
  return {
    [cudaDirectoryVariable]: directory,
    LD_LIBRARY_PATH: [...libraryPath, ...(inherited ? [inherited] : [])].join(delimiter),
  };
}

/** CUDA that cannot even be looked for is a reason not to use it, never a failure. */
async function findFor(modulePath: string, options: CudaOptions): Promise<CudaEnvironment> {
  try {
    return await cudaEnvironment(options, bindingDirectoryOf(modulePath));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { libraryPath: [], reasons: [`The CUDA libraries could not be prepared: ${message}.`] };
  }
}

/** The folder of the binding that a module of the inference process would load. */
function bindingDirectoryOf(modulePath: string): string {
  const entry = createRequire(modulePath).resolve('onnxruntime-node');
  return join(dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
}

async function firstMissing(folder: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const isFile = await stat(join(folder, name)).then(
      (found) => found.isFile(),
      () => false,
    );
    if (!isFile) return name;
  }
  return undefined;
}

/** A folder with links to the binding's runtime and the provider's libraries. Named by their places, so it is made once. */
async function linkBeside(folder: string, bindingDirectory: string, cacheDirectory?: string): Promise<string> {
  const targets = [join(bindingDirectory, runtimeLibrary), ...providerLibraries.map((name) => join(folder, name))];
  const key = createHash('sha256').update(targets.join('\0')).digest('hex').slice(0, 16);
  const linked = join(cacheDirectory ?? userCache(), `cuda-${key}`);
  await mkdir(linked, { recursive: true, mode: 0o700 });
  for (const target of targets) {
    await symlink(target, join(linked, target.slice(dirname(target).length + 1))).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }
  return linked;
}

function userCache(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tatok-inspector');
}
