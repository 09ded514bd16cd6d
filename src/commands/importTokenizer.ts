/** *TaTok: Import Tokenizer…*: a bundle of a public tokenizer's checkpoint, made by the Python package that the extension carries. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import * as vscode from 'vscode';
import { TatokError } from '../method/errors';
import type { Models } from '../host/models';
import { pythonEnvironments } from '../host/pythonEnvironments';
import { interpreterIn, runPython, type Ended } from '../host/pythonProgram';
import { plain, sentences, type Plain } from '../host/text';
import { window, type Line } from '../host/window';
import { inspectorViewType } from '../panel/inspectorPanel';
import { imageExtensions } from '../host/imageFiles';
import { showOutputCommand } from './showEnvironment';

export const importTokenizerCommand = 'tatok.importTokenizer';

/** Families of `python -m tatok import`, with the words that users know them by. */
export const families = {
  titok: {
    label: plain`TiTok`,
    detail: plain`TiTok-S-128, -B-64, -L-32, -BL and -SL (VQ): 32 to 256 tokens in a sequence`,
  },
  'maskgit-vqgan': { label: plain`MaskGIT VQGAN`, detail: plain`maskgit-vqgan-imagenet-f16-256.bin: 1,024 codes` },
  llamagen: { label: plain`LlamaGen`, detail: plain`vq_ds16_c2i.pt, vq_ds16_t2i.pt, vq_ds8_c2i.pt: 16,384 codes` },
  taming: {
    label: plain`VQGAN (taming-transformers)`,
    detail: plain`Lightning checkpoints of VQModel, with their configuration`,
  },
  'open-magvit2': {
    label: plain`Open-MAGVIT2`,
    detail: plain`Lightning checkpoints, lookup-free quantisation of 14 or 18 bits`,
  },
  'one-d-piece': {
    label: plain`One-D-Piece`,
    detail: plain`One-D-Piece-S-256, -B-256, -L-256: any leading tokens decode`,
  },
} as const satisfies Record<string, Line>;
type Family = keyof typeof families;

/** Families that upstream gives no configuration with: the checkpoint tells all that varies, and the importer takes none. */
const unconfigured: readonly Family[] = ['maskgit-vqgan', 'llamagen'];

export interface ImportServices {
  /** Folder of the extension, with the wheel of `tatok`. */
  readonly extensionUri: vscode.Uri;
  /** Where programs run: a folder of the extension's own. */
  readonly storage: vscode.Uri;
  readonly models: Pick<Models, 'add' | 'remember'>;
  readonly log: Pick<vscode.LogOutputChannel, 'info' | 'error'>;
}

export function registerImportTokenizer(services: ImportServices): vscode.Disposable {
  return vscode.commands.registerCommand(importTokenizerCommand, () => importTokenizer(services));
}

async function importTokenizer(services: ImportServices): Promise<void> {
  try {
    if (!vscode.workspace.isTrusted) {
      throw new TatokError(
        'bad-settings',
        'Tokenizers are not imported in Restricted Mode: the import runs Python.',
        'Trust the folder first.',
      );
    }
    const python = await choosePython();
    if (python === undefined || !(await requireTatok(python, services))) return;
    const asked = await askWhatToImport();
    if (asked === undefined) return;
    const bundle = await makeBundle(python, asked, services);
    await offerBundle(bundle, services);
  } catch (error) {
    if (!(error instanceof TatokError)) throw error;
    if (error.code === 'cancelled') return;
    services.log.error(error.message, error.cause ?? '');
    const show = plain`Show Output`;
    const pressed = await window.showErrorMessage(sentences(error.message, error.advice), show);
    if (pressed === show) await vscode.commands.executeCommand(showOutputCommand);
  }
}

const otherPython = plain`Choose an interpreter…`;

/** The interpreter of an environment that the Python extension or the workspace has, or one that the user names. */
async function choosePython(): Promise<string | undefined> {
  const found = await Promise.all(
    pythonEnvironments().map(async ({ folder, from }) => ({ path: await interpreterIn(folder), from })),
  );
  const paths = new Map(found.flatMap(({ path, from }) => (path === undefined ? [] : [[path, from] as const])));
  const items = [...paths].map(([path, from]) => ({ label: plain`${from}`, description: plain`${path}`, path }));
  const chosen = await window.showQuickPick<Line & { readonly path: string | undefined }>(
    [...items, { label: otherPython, path: undefined }],
    {
      title: plain`Import Tokenizer: Python Environment`,
      placeHolder: plain`Python 3.11 or later, which tatok is installed in`,
      ignoreFocusOut: true,
    },
  );
  if (chosen === undefined || chosen.path !== undefined) return chosen?.path;
  const file = await chooseFile(plain`Python Interpreter`, 'Use');
  return file?.fsPath;
}

/** The wheel of the Python package that the extension carries, and its version. */
async function shippedWheel({ extensionUri }: ImportServices): Promise<{ path: string; version: string }> {
  const folder = join(extensionUri.fsPath, 'python');
  const names = await readdir(folder).catch(() => []);
  const name = names.find((each) => /^tatok-.+\.whl$/.test(each));
  if (name === undefined) {
    throw new TatokError(
      'model-missing',
      'This copy of the extension does not carry the Python package tatok.',
      'Install tatok from models/training into the environment.',
    );
  }
  return { path: join(folder, name), version: name.split('-')[1] ?? '' };
}

const askVersion = 'import importlib.metadata as m, sys; print(*sys.version_info[:2]); print(m.version("tatok"))';

/** True once the environment has the package; false where the user does not want it there. */
async function requireTatok(python: string, services: ImportServices): Promise<boolean> {
  const lines: string[] = [];
  const asked = await run(python, ['-c', askVersion], services, (line) => lines.push(line));
  const [major = 0, minor = 0] = (lines[0] ?? '').split(' ').map(Number);
  if (!/^\d+ \d+$/.test(lines[0] ?? '')) {
    throw new TatokError('bad-settings', `${python} is not a Python that runs: ${lastOf(asked) || 'it said nothing'}.`);
  }
  if (major < 3 || (major === 3 && minor < 11)) {
    throw new TatokError('bad-settings', `tatok needs Python 3.11 or later, and ${python} is ${major}.${minor}.`);
  }
  if (asked.status === 0) return true;
  const wheel = await shippedWheel(services);
  const install = plain`Install`;
  const answer = await window.showInformationMessage(
    plain`Install tatok ${wheel.version} into this Python environment?`,
    {
      modal: true,
      detail: sentences(
        `${python} does not have it.`,
        'pip installs it from the extension, and what it needs, such as PyTorch, from the package index that pip is set up with: some gigabytes.',
      ),
    },
    install,
  );
  if (answer !== install) return false;
  const ended = await withProgress(plain`installing tatok`, services, python, [
    ...['-m', 'pip', 'install', '--disable-pip-version-check', wheel.path],
  ]);
  if (ended.status !== 0) {
    throw new TatokError(
      'bad-settings',
      `tatok could not be installed: ${lastOf(ended)}`,
      'The output has all lines of pip.',
    );
  }
  return true;
}

/** All that the import is asked for. */
interface Asked {
  readonly family: Family;
  readonly checkpoint: string;
  readonly configuration: string | undefined;
  /** Folder of the new bundle, which does not exist yet. */
  readonly out: string;
}

async function askWhatToImport(): Promise<Asked | undefined> {
  const items = Object.entries(families).map(([family, line]) => ({ ...line, family: family as Family }));
  const chosen = await window.showQuickPick(items, {
    title: plain`Import Tokenizer: Family`,
    placeHolder: plain`The tokenizer that the checkpoint is of`,
    matchOnDetail: true,
    ignoreFocusOut: true,
  });
  if (chosen === undefined) return undefined;
  const checkpoint = await chooseFile(plain`Checkpoint`, 'Import', {
    Checkpoints: ['bin', 'pt', 'pth', 'ckpt', 'safetensors'],
  });
  if (checkpoint === undefined) return undefined;
  const configuration = unconfigured.includes(chosen.family)
    ? { path: undefined }
    : await askForConfiguration(checkpoint.fsPath);
  if (configuration === undefined) return undefined;
  const [parent] =
    (await window.showOpenDialog({
      title: plain`Folder in Which the New Model Folder Is Made`,
      openLabel: 'Make It Here',
      canSelectFiles: false,
      canSelectFolders: true,
      defaultUri: vscode.Uri.file(dirname(checkpoint.fsPath)),
    })) ?? [];
  if (parent === undefined) return undefined;
  const stem = basename(checkpoint.fsPath, extname(checkpoint.fsPath));
  const name = stem === 'model' ? basename(dirname(checkpoint.fsPath)) : stem;
  const out = await freeFolder(parent.fsPath, `${chosen.family}-${name}`);
  return { family: chosen.family, checkpoint: checkpoint.fsPath, configuration: configuration.path, out };
}

/** A configuration's path, or none where there is none; undefined where the user changed their mind. */
async function askForConfiguration(checkpoint: string): Promise<{ readonly path: string | undefined } | undefined> {
  const folder = dirname(checkpoint);
  const beside = (await readdir(folder).catch(() => [])).filter((name) => /\.(ya?ml|json)$/i.test(name)).sort();
  const elsewhere = { label: plain`Choose a file…`, path: undefined, choose: true };
  const chosen = await window.showQuickPick<Line & { readonly path: string | undefined; readonly choose?: boolean }>(
    [
      ...beside.map((name) => ({ label: plain`${name}`, path: join(folder, name) })),
      elsewhere,
      { label: plain`No configuration`, detail: plain`The importer says what it assumes`, path: undefined },
    ],
    {
      title: plain`Import Tokenizer: Configuration`,
      placeHolder: plain`YAML or JSON that upstream gives with the checkpoint`,
      ignoreFocusOut: true,
    },
  );
  if (chosen?.choose !== true) return chosen;
  const file = await chooseFile(plain`Configuration`, 'Use', { Configurations: ['yaml', 'yml', 'json'] });
  return file && { path: file.fsPath };
}

async function makeBundle(python: string, asked: Asked, services: ImportServices): Promise<string> {
  const { family, checkpoint, configuration, out } = asked;
  const config = configuration === undefined ? [] : ['--config', configuration];
  const imported = await withProgress(plain`importing ${basename(checkpoint)}`, services, python, [
    ...['-m', 'tatok', 'import', family, checkpoint, '--out', out, ...config],
  ]);
  if (imported.status !== 0) throw new TatokError('model-invalid', importFailure(checkpoint, imported));
  const checked = await withProgress(plain`checking the new model`, services, python, ['-m', 'tatok', 'check', out]);
  if (checked.status !== 0) throw new TatokError('model-invalid', importFailure(checkpoint, checked));
  await services.models.add(out);
  return out;
}

async function offerBundle(bundle: string, { models }: ImportServices): Promise<void> {
  const [tokenize, use] = [plain`Tokenize an Image…`, plain`Use for All Images`];
  const pressed = await window.showInformationMessage(plain`${bundle} is a model now.`, tokenize, use);
  if (pressed === use) {
    const values = vscode.workspace.getConfiguration('tatok');
    const target =
      vscode.workspace.workspaceFolders === undefined
        ? vscode.ConfigurationTarget.Global
        : vscode.ConfigurationTarget.Workspace;
    await values.update('model', bundle, target);
  }
  if (pressed === undefined) return;
  const image = await chooseFile(plain`Tokenize Image`, 'Tokenize', { Images: [...imageExtensions] });
  if (image === undefined) return;
  await models.remember(image, bundle);
  await vscode.commands.executeCommand('vscode.openWith', image, inspectorViewType, {
    viewColumn: vscode.ViewColumn.Active,
    preview: false,
  } satisfies vscode.TextDocumentShowOptions);
}

async function chooseFile(
  title: Plain,
  openLabel: string,
  filters?: Record<string, string[]>,
): Promise<vscode.Uri | undefined> {
  const [file] = (await window.showOpenDialog({ title, openLabel, ...(filters !== undefined && { filters }) })) ?? [];
  if (file !== undefined && file.scheme !== 'file') {
    throw new TatokError('model-missing', `Python reads files of this machine, not of ${file.scheme}:.`);
  }
  return file;
}

/** A name that the folder does not have yet: nothing is overwritten. */
async function freeFolder(parent: string, name: string): Promise<string> {
  const taken = new Set(await readdir(parent).catch(() => []));
  let free = name;
  for (let n = 2; taken.has(free); n++) free = `${name}-${n}`;
  return join(parent, free);
}

/** A notification with the program's last line, which can be cancelled. @throws TatokError cancelled. */
function withProgress(
  title: Plain,
  services: ImportServices,
  python: string,
  args: readonly string[],
): Thenable<Ended> {
  const place = { location: vscode.ProgressLocation.Notification, title: plain`TaTok: ${title}`, cancellable: true };
  return window.withProgress(place, async (progress, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    const ended = await run(
      python,
      args,
      services,
      (line) => progress.report({ message: plain`${line}` }),
      abort.signal,
    );
    if (abort.signal.aborted) throw new TatokError('cancelled', 'The import was cancelled.');
    return ended;
  });
}

async function run(
  python: string,
  args: readonly string[],
  { storage, log }: ImportServices,
  onLine: (line: string) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<Ended> {
  await vscode.workspace.fs.createDirectory(storage);
  log.info(`${python} ${args.join(' ')}`);
  return runPython(python, args, storage.fsPath, {
    onLine: (line) => {
      log.info(line);
      onLine(line);
    },
    signal,
  });
}

/** What the command line says of its failure, or its last line. */
function importFailure(checkpoint: string, ended: Ended): string {
  const said = ended.errors.findIndex((line) => line.startsWith('tatok: '));
  const reason = said < 0 ? lastOf(ended) : ended.errors.slice(said).join(' ').replace('tatok: ', '');
  return `${basename(checkpoint)} could not be imported: ${reason}`;
}

function lastOf({ errors }: Ended): string {
  return errors.findLast((line) => line.trim() !== '')?.trim() ?? '';
}
