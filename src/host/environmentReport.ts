import { adviceOn, pipCommand, pipHelps, type CudaDiscovery, type Problem } from '../cuda/discovery';
import { runtimeVersion } from '../cuda/requirements';
import type { LoadedModel } from '../protocol/engineMessages';
import { code, formatted, lines, type Markdown } from './text';

export interface EnvironmentFacts {
  readonly extension: string;
  readonly vscode: string;
  readonly node: string;
  readonly platform: string;
  /** "ssh-remote", "wsl"; undefined for a local window. */
  readonly remote: string | undefined;
  readonly trusted: boolean;
  readonly providers: readonly string[];
  /** The model that the inference process loaded, or why it could not. */
  readonly loaded: LoadedModel | string;
  readonly discovery: CudaDiscovery;
  /** Replaced by ~, so that the report names nobody. */
  readonly home: string;
}

/** For a bug report: to be read as it is, or as Markdown. */
export function environmentReport(facts: EnvironmentFacts): Markdown {
  const { loaded, discovery } = facts;
  const quoted = (value: string): Markdown => code(facts.home.length > 1 ? value.replaceAll(facts.home, '~') : value);
  const remote = facts.remote === undefined ? formatted`` : formatted` (${quoted(facts.remote)})`;
  return lines([
    formatted`### TaTok environment`,
    formatted``,
    formatted`- TaTok Inspector ${quoted(facts.extension)}, VS Code ${quoted(facts.vscode)}${remote}`,
    formatted`- Node ${quoted(facts.node)} on ${quoted(facts.platform)}, ONNX Runtime ${quoted(runtimeVersion)}`,
    formatted`- workspace ${facts.trusted ? 'trusted' : 'not trusted'}`,
    formatted`- providers to try: ${quoted(facts.providers.join(', '))}`,
    ...(typeof loaded === 'string'
      ? [formatted`- no model: ${quoted(loaded)}`]
      : [
          formatted`- model ${quoted(`${loaded.model.name} ${loaded.model.version}`)} in ${quoted(loaded.model.directory)}`,
          formatted`- runs on **${loaded.provider.provider}**`,
          ...loaded.provider.failures.map(
            ({ provider, reason }) => formatted`  - not on ${provider}: ${quoted(reason)}`,
          ),
        ]),
    formatted``,
    formatted`#### CUDA`,
    formatted``,
    ...discoveryLines(discovery).map(({ label, detail }) => formatted`- ${label}: ${quoted(detail)}`),
    ...discovery.problems.map((problem) => {
      const sentences = [withFiles(problem), adviceOn(problem, discovery)].filter((part) => part !== undefined);
      return formatted`- **missing**: ${quoted(sentences.join(' '))}`;
    }),
    ...(pipHelps(discovery)
      ? [formatted`- with pip, in the workspace’s Python environment: ${quoted(pipCommand(discovery.requirements))}`]
      : []),
    formatted``,
  ]);
}

function withFiles({ message, files }: Problem): string {
  return files === undefined ? message : message.replace(/\.$/, ` (${files.join(', ')}).`);
}

export interface DiscoveryLine {
  readonly label: string;
  readonly detail: string;
}

/** Parts that were found, a line each. */
export function discoveryLines({ driver, provider, libraries }: CudaDiscovery): DiscoveryLine[] {
  return [
    ...(driver.version === undefined ? [] : [{ label: 'NVIDIA driver', detail: driver.version }]),
    ...(driver.gpus ?? []).map(({ index, name, memory }) => ({ label: `GPU ${index}`, detail: `${name}, ${memory}` })),
    ...(provider === undefined
      ? []
      : [
          { label: `CUDA provider of ONNX Runtime ${runtimeVersion}`, detail: `${provider.folder} (${provider.from})` },
        ]),
    ...libraries.flatMap(({ name, file, place }) =>
      place === undefined ? [] : [{ label: name, detail: `${place.folder}/${file} (${place.from})` }],
    ),
  ];
}
