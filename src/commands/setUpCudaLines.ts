/** The lines of *TaTok: Set Up CUDA…* that tell what was found and what is missing. */
import * as vscode from 'vscode';
import { discoveryLines } from '../host/environmentReport';
import { adviceOn } from '../cuda/advice';
import type { CudaDiscovery } from '../cuda/discovery';
import { plain } from '../host/text';
import type { Line } from '../host/window';

/** 'again' shows the list again. */
export type Outcome = 'done' | 'again';

export interface Choice extends Line {
  /** Absent for lines that only tell something. */
  readonly run?: () => Promise<Outcome>;
  /** Where to get by other means what `run` fails to fetch. */
  readonly link?: string;
}

export function verdict(discovery: CudaDiscovery): Choice[] {
  const { problems } = discovery;
  if (problems.length === 0) {
    return [
      {
        label: plain`$(pass) Nothing is missing`,
        detail: plain`CUDA is used when a model is loaded next.`,
        run: again,
      },
    ];
  }
  return [
    { label: plain`Missing`, kind: vscode.QuickPickItemKind.Separator },
    ...problems.map((problem) => ({
      label: plain`$(warning) ${problem.message}`,
      detail: plain`${adviceOn(problem, discovery) ?? ''}`,
      run: again,
    })),
  ];
}

export function found(discovery: CudaDiscovery): Choice[] {
  const lines = discoveryLines(discovery);
  if (lines.length === 0) return [];
  return [
    { label: plain`Found`, kind: vscode.QuickPickItemKind.Separator },
    ...lines.map(({ label, detail }) => ({ label: plain`$(check) ${label}`, detail: plain`${detail}`, run: again })),
  ];
}

export function again(): Promise<Outcome> {
  return Promise.resolve('again');
}
