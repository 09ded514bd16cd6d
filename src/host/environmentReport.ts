import { adviceOn, pipCommand, pipHelps } from '../cuda/advice';
import type { CudaDiscovery, Problem } from '../cuda/discovery';
import { runtimeVersion } from '../cuda/requirements';
import type { LoadedModel } from '../protocol/engineMessages';

export interface EnvironmentFacts {
  readonly extension: string;
  readonly vscode: string;
  readonly node: string;
  readonly platform: string;
  /** "ssh-remote", "wsl"; undefined for a local window. */
  readonly remote: string | undefined;
  readonly trusted: boolean;
  readonly providers: readonly string[];
  /** What the inference process loaded, or why it could not. */
  readonly loaded: LoadedModel | string;
  readonly discovery: CudaDiscovery;
  /** Replaced by ~, so that the report names nobody. */
  readonly home: string;
}

/** Markdown for a bug report. */
export function environmentReport(facts: EnvironmentFacts): string {
  const { loaded, discovery } = facts;
  const lines = [
    '### TaTok environment',
    '',
    `- TaTok Inspector ${facts.extension}, VS Code ${facts.vscode}${facts.remote === undefined ? '' : ` (${facts.remote})`}`,
    `- Node ${facts.node} on ${facts.platform}, ONNX Runtime ${runtimeVersion}`,
    `- workspace ${facts.trusted ? 'trusted' : 'not trusted'}`,
    `- providers to try: ${facts.providers.join(', ')}`,
    ...(typeof loaded === 'string'
      ? [`- no model: ${loaded}`]
      : [
          `- model ${loaded.model.name} ${loaded.model.version} in ${loaded.model.directory}`,
          `- runs on **${loaded.provider.provider}**`,
          ...loaded.provider.failures.map(({ provider, reason }) => `  - not on ${provider}: ${reason}`),
        ]),
    '',
    '#### CUDA',
    '',
    ...discoveryLines(discovery).map(({ label, detail }) => `- ${label}: ${detail}`),
    ...discovery.problems.map((problem) =>
      ['- **missing**:', withFiles(problem), adviceOn(problem, discovery)].filter(Boolean).join(' '),
    ),
    ...(pipHelps(discovery)
      ? [`- with pip, in the workspace’s Python environment: \`${pipCommand(discovery.requirements)}\``]
      : []),
    '',
  ];
  return lines.map((line) => (facts.home.length > 1 ? line.replaceAll(facts.home, '~') : line)).join('\n');
}

function withFiles({ message, files }: Problem): string {
  return files === undefined ? message : message.replace(/\.$/, ` (${files.join(', ')}).`);
}

export interface DiscoveryLine {
  readonly label: string;
  readonly detail: string;
}

/** What was found, a line for each part. */
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
