/** The lines of *TaTok: Set Up CUDA…* that tell what was found and what is missing. */
import * as vscode from 'vscode';
import { discoveryLines } from '../host/environmentReport';
import { adviceOn } from '../cuda/advice';
import type { CudaDiscovery } from '../cuda/discovery';

/** 'again' shows the list again. */
export type Outcome = 'done' | 'again';

export interface Choice extends vscode.QuickPickItem {
  /** Absent for lines that only tell something. */
  readonly run?: () => Promise<Outcome>;
  /** Where to get by other means what `run` fails to fetch. */
  readonly link?: string;
}

export function verdict(discovery: CudaDiscovery): Choice[] {
  const { problems } = discovery;
  if (problems.length === 0) {
    return [{ label: '$(pass) Nothing is missing', detail: 'CUDA is used when a model is loaded next.', run: again }];
  }
  return [
    { label: 'Missing', kind: vscode.QuickPickItemKind.Separator },
    ...problems.map((problem) => ({
      label: `$(warning) ${problem.message}`,
      detail: adviceOn(problem, discovery) ?? '',
      run: again,
    })),
  ];
}

export function found(discovery: CudaDiscovery): Choice[] {
  const lines = discoveryLines(discovery);
  if (lines.length === 0) return [];
  return [
    { label: 'Found', kind: vscode.QuickPickItemKind.Separator },
    ...lines.map(({ label, detail }) => ({ label: `$(check) ${label}`, detail, run: again })),
  ];
}

export function again(): Promise<Outcome> {
  return Promise.resolve('again');
}
