import { dirname, join } from 'node:path';
import type { System } from '../../../src/cuda/system';

export interface FakeMachine {
  /** Paths of files; their folders exist too. */
  readonly files?: readonly string[];
  readonly texts?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Output by the command's name. */
  readonly commands?: Readonly<Record<string, string>>;
  /** Needs of a library, or why it is broken; absent: the pinned provider's needs. */
  readonly needs?: Readonly<Record<string, readonly string[] | Error>>;
  readonly platform?: string;
  readonly home?: string;
}

const providerNeeds = ['libcublasLt.so.13', 'libcublas.so.13', 'libcurand.so.10', 'libcudart.so.13', 'libc.so.6'];

/** A machine of which only what the test names exists. */
export function fakeSystem({
  files = [],
  texts = {},
  env = {},
  commands = {},
  needs = {},
  ...rest
}: FakeMachine): System {
  const folders = new Map<string, Set<string>>();
  for (let path of [...files, ...Object.keys(texts)]) {
    for (; path !== '/'; path = dirname(path)) {
      const folder = dirname(path);
      folders.set(folder, (folders.get(folder) ?? new Set()).add(path.slice(join(folder, '/').length)));
    }
  }
  return {
    platform: rest.platform ?? 'linux',
    arch: 'x64',
    env,
    home: rest.home ?? '/home/ada',
    list: (folder) => Promise.resolve([...(folders.get(join('/', folder)) ?? [])]),
    readText: (path) => Promise.resolve(texts[path]),
    run: (command) => Promise.resolve(commands[command]),
    needed: (library) => {
      const said = needs[library] ?? providerNeeds;
      return said instanceof Error ? Promise.reject(said) : Promise.resolve(said);
    },
  };
}
