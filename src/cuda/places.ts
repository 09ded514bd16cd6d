/** The folders where CUDA's libraries really live, in the order in which they are searched. */
import { delimiter, isAbsolute, join } from 'node:path';
import type { System } from './system';

/** How the loader gets to the libraries of a place. */
export type Reach =
  /** It looks there by itself. */
  | 'itself'
  /** Once the folder is on its path. */
  | 'folder'
  /** By links to CUDA's libraries alone: a Python environment may hold others (libstdc++, …) that must not replace the system's. */
  | 'links';

export interface Place {
  readonly folder: string;
  /** Owner of the folder, for people. */
  readonly from: string;
  readonly reach: Reach;
  /** File names in it. */
  readonly names: ReadonlySet<string>;
}

/** A Python environment (a venv's or conda's folder). */
export interface PythonEnvironment {
  readonly folder: string;
  /** Name for people: "the workspace’s .venv". */
  readonly from: string;
}

export interface Searched {
  /** The setting's folder. */
  readonly libraryPath?: string | undefined;
  readonly environments?: readonly PythonEnvironment[] | undefined;
}

const systemFolders = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64', '/lib64', '/usr/lib'];
/** Of the driver: WSL's, and where container runtimes mount it. */
const driverFolders = ['/usr/lib/wsl/lib', '/usr/local/nvidia/lib64', '/usr/local/nvidia/lib'];

export async function librariesPlaces(searched: Searched, system: System): Promise<Place[]> {
  const { env } = system;
  const place = async (folder: string, from: string, reach: Reach): Promise<Place> => ({
    folder,
    from,
    reach,
    names: new Set(await system.list(folder)),
  });
  const toolkits = [
    ...['CUDA_HOME', 'CUDA_PATH'].flatMap((name) => absolute(env[name])),
    ...(await system.list('/usr/local'))
      .filter((name) => /^cuda(-[\d.]+)?$/.test(name))
      .sort()
      .map((name) => `/usr/local/${name}`),
    ...(await system.list('/opt')).filter((name) => /^cuda(-[\d.]+)?$/.test(name)).map((name) => `/opt/${name}`),
  ];
  const environments: PythonEnvironment[] = [
    ...(searched.environments ?? []),
    ...absolute(env['VIRTUAL_ENV']).map((folder) => ({ folder, from: 'the active virtual environment' })),
    ...absolute(env['CONDA_PREFIX']).map((folder) => ({ folder, from: 'the active conda environment' })),
    { folder: join(system.home, '.local'), from: 'Python’s user packages' },
    { folder: '/usr/local', from: 'Python’s system packages' },
    { folder: '/usr', from: 'Python’s system packages' },
  ];
  const found = await Promise.all([
    ...(searched.libraryPath ? [place(searched.libraryPath, 'the setting tatok.cuda.libraryPath', 'folder')] : []),
    ...pathOf(env).map((folder) => place(folder, 'LD_LIBRARY_PATH', 'itself')),
    loaderCache(system),
    ...systemFolders.map((folder) => place(folder, 'the system’s libraries', 'itself')),
    ...driverFolders.map((folder) => place(folder, 'the NVIDIA driver', 'folder')),
    ...toolkits.flatMap((toolkit) =>
      ['lib64', 'targets/x86_64-linux/lib'].map((below) => place(join(toolkit, below), 'the CUDA toolkit', 'folder')),
    ),
    ...environments.map((environment) => environmentPlaces(environment, system, place)),
  ]);
  const seen = new Set<string>();
  return found.flat().filter(({ folder, names, from }) => {
    const known = seen.has(folder + from) || names.size === 0;
    seen.add(folder + from);
    return !known;
  });
}

/** Folders of the inherited loader path. To the loader an empty one is the folder that the process was started in, whatever lies there. */
export function pathOf(env: System['env']): string[] {
  return (env['LD_LIBRARY_PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
}

/** A folder that a variable names; none where it is empty, or relative to wherever the process was started. */
function absolute(folder: string | undefined): string[] {
  return folder !== undefined && isAbsolute(folder) ? [folder] : [];
}

/** NVIDIA's wheels (nvidia-cublas, nvidia-cudnn-cu13, …), and conda's own packages. */
async function environmentPlaces(
  { folder, from }: PythonEnvironment,
  system: System,
  place: (folder: string, from: string, reach: Reach) => Promise<Place>,
): Promise<Place[]> {
  const lib = join(folder, 'lib');
  const pythons = (await system.list(lib)).filter((name) => /^python3(\.\d+)?$/.test(name));
  const wheels = await Promise.all(
    pythons
      .flatMap((python) => ['site-packages', 'dist-packages'].map((packages) => join(lib, python, packages, 'nvidia')))
      .map(async (nvidia) => (await system.list(nvidia)).map((name) => join(nvidia, name, 'lib'))),
  );
  const isConda = (await system.list(join(folder, 'conda-meta'))).length > 0;
  return Promise.all([
    ...wheels.flat().map((below) => place(below, `NVIDIA’s Python packages in ${from}`, 'links')),
    ...(isConda ? [place(lib, from, 'links')] : []),
  ]);
}

/** Folders of the loader's cache (`ldconfig -p`), a place for each. */
async function loaderCache(system: System): Promise<Place[]> {
  const listing = (await system.run('/sbin/ldconfig', ['-p'])) ?? '';
  const folders = new Map<string, Set<string>>();
  for (const [, name = '', folder = ''] of listing.matchAll(/^\s*(\S+) \([^)]*x86-64[^)]*\) => (\S+)\/[^/\s]+$/gm)) {
    const names = folders.get(folder) ?? new Set();
    folders.set(folder, names.add(name));
  }
  return [...folders].map(([folder, names]) => ({ folder, names, from: 'the system’s libraries', reach: 'itself' }));
}
