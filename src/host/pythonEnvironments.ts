import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import type { PythonEnvironment } from '../cuda/places';

/**
 * Python environments that may hold NVIDIA's packages: the one chosen in the Python extension, if that runs, and the workspace's
 * own. Libraries of an untrusted workspace are never loaded.
 */
export function pythonEnvironments(): PythonEnvironment[] {
  if (!vscode.workspace.isTrusted) return [];
  const chosen = chosenInterpreter();
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
  return [
    ...(chosen === undefined ? [] : [{ folder: environmentOf(chosen), from: 'the selected Python environment' }]),
    ...folders.flatMap(({ uri }) =>
      ['.venv', 'venv'].map((name) => ({ folder: join(uri.fsPath, name), from: `the workspace’s ${name}` })),
    ),
  ];
}

/** The part of the Python extension's API that is used. */
interface PythonExtension {
  readonly environments?: { getActiveEnvironmentPath?(resource?: vscode.Uri): { readonly path?: unknown } };
}

/** An interpreter's path, or an environment's folder; undefined where the Python extension does not run. */
function chosenInterpreter(): string | undefined {
  const extension = vscode.extensions.getExtension<PythonExtension | undefined>('ms-python.python');
  if (extension?.isActive !== true) return undefined;
  const resource = vscode.workspace.workspaceFolders?.[0]?.uri;
  const path = extension.exports?.environments?.getActiveEnvironmentPath?.(resource).path;
  return typeof path === 'string' && path !== '' ? path : undefined;
}

function environmentOf(path: string): string {
  return basename(dirname(path)) === 'bin' ? dirname(dirname(path)) : path;
}
