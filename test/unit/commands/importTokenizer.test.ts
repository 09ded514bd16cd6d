import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi, type Mock } from 'vitest';
import * as vscode from 'vscode';
import {
  families,
  importTokenizerCommand,
  registerImportTokenizer,
  type ImportServices,
} from '../../../src/commands/importTokenizer';
import { pythonEnvironments } from '../../../src/host/pythonEnvironments';
import { runPython, type Ended } from '../../../src/host/pythonProgram';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  const withProgress = (_place: unknown, work: (progress: unknown, token: unknown) => Promise<unknown>) =>
    work({ report: () => undefined }, { onCancellationRequested: (stop: () => void) => (cancel = stop) });
  return {
    ...mock,
    ProgressLocation: { Window: 10, Notification: 15 },
    window: { ...mock.window, withProgress },
    workspace: {
      isTrusted: true,
      fs: { createDirectory: vi.fn() },
      workspaceFolders: [],
      getConfiguration: vi.fn(() => ({ update: vi.fn() })),
    },
  };
});
vi.mock('../../../src/host/pythonEnvironments');
vi.mock('../../../src/host/pythonProgram', async (original) => ({
  ...(await original<object>()),
  runPython: vi.fn(),
}));

const bundle = join(import.meta.dirname, '../../fixtures/bundles/fixed-16');
const done: Ended = { status: 0, errors: [] };
let cancel: () => void = () => undefined;
let folder: string;
let checkpoint: string;
let run: () => Promise<void>;
let add: Mock<ImportServices['models']['add']>;
let remember: Mock<ImportServices['models']['remember']>;
/** Parts of the labels to choose, one for each list. */
let chosen: string[];
/** Paths to choose, one for each dialog. */
let paths: string[];
/** Arguments of every program that ran. */
let ran: string[][];
/** What the programs do. */
let program: (args: readonly string[], onLine: (line: string) => void) => Promise<Ended>;
let installed: boolean;

beforeEach(async () => {
  vi.clearAllMocks();
  folder = await mkdtemp(join(tmpdir(), 'tatok-import-'));
  checkpoint = join(folder, 'tokenizer_titok_s128.bin');
  await writeFile(checkpoint, '');
  await mkdir(join(folder, 'extension/python'), { recursive: true });
  await writeFile(join(folder, 'extension/python/tatok-0.1.0-py3-none-any.whl'), '');
  await mkdir(join(folder, '.venv/bin'), { recursive: true });
  await writeFile(join(folder, '.venv/bin/python'), '');
  vi.mocked(pythonEnvironments).mockReturnValue([{ folder: join(folder, '.venv'), from: 'the workspace’s .venv' }]);
  installed = true;
  ran = [];
  program = async (args, onLine) => {
    if (args[0] === '-c') {
      onLine('3 12');
      return installed ? done : { status: 1, errors: ['importlib.metadata.PackageNotFoundError: tatok'] };
    }
    if (args[1] === 'pip') installed = true;
    if (args[2] === 'import') await cp(bundle, args[args.indexOf('--out') + 1] ?? '', { recursive: true });
    return done;
  };
  vi.mocked(runPython).mockImplementation((_python, args, _cwd, { onLine, signal }) => {
    ran.push([...args]);
    return signal.aborted ? Promise.resolve({ status: null, errors: [] }) : program(args, onLine);
  });
  chosen = ['the workspace’s .venv', 'TiTok', 'No configuration'];
  paths = [checkpoint, folder];
  vi.mocked(vscode.window.showQuickPick).mockImplementation(async (items) => {
    const all = (await items) as vscode.QuickPickItem[];
    const wanted = chosen.shift();
    return wanted === undefined ? undefined : all.find(({ label }) => label === wanted);
  });
  vi.mocked(vscode.window.showOpenDialog).mockImplementation(() => {
    const path = paths.shift();
    return Promise.resolve(path === undefined ? undefined : [vscode.Uri.file(path)]);
  });
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    expect(command).toBe(importTokenizerCommand);
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  add = vi.fn(() => Promise.resolve());
  remember = vi.fn(() => Promise.resolve());
  registerImportTokenizer({
    extensionUri: vscode.Uri.file(join(folder, 'extension')),
    storage: vscode.Uri.file(join(folder, 'storage')),
    models: { add, remember },
    log: { info: vi.fn(), error: vi.fn() },
  });
});

afterEach(() => rm(folder, { recursive: true }));

const told = () => vi.mocked(vscode.window.showErrorMessage).mock.calls.map(([message]) => message);
const presses = (button: string) =>
  vi
    .mocked(vscode.window.showInformationMessage)
    .mockImplementation((_message: string, ...rest: unknown[]) =>
      Promise.resolve(rest.find((each) => each === button) as never),
    );

it('makes a bundle, checks it and opens an image with it', async () => {
  presses('Tokenize an Image…');
  paths.push('/photographs/a.png');
  await run();
  expect(told()).toEqual([]);
  const out = join(folder, 'titok-tokenizer_titok_s128');
  expect(ran.slice(1)).toEqual([
    ['-m', 'tatok', 'import', 'titok', checkpoint, '--out', out],
    ['-m', 'tatok', 'check', out],
  ]);
  expect(add).toHaveBeenCalledWith(out);
  expect(remember).toHaveBeenCalledWith(expect.objectContaining({ path: '/photographs/a.png' }), out);
  expect(vscode.commands.executeCommand).toHaveBeenCalledWith(
    ...[
      'vscode.openWith',
      expect.objectContaining({ path: '/photographs/a.png' }),
      'tatok.inspector',
      expect.anything(),
    ],
  );
});

it('offers to install the wheel that the extension carries, and does so after consent alone', async () => {
  installed = false;
  await run();
  expect(ran).toHaveLength(1);
  presses('Install');
  chosen = ['the workspace’s .venv'];
  await run();
  expect(ran[2]?.slice(0, 3)).toEqual(['-m', 'pip', 'install']);
  expect(ran[2]?.at(-1)).toBe(join(folder, 'extension/python/tatok-0.1.0-py3-none-any.whl'));
});

it('offers configurations that lie beside the checkpoint', async () => {
  await writeFile(join(folder, 'titok_s128.yaml'), '');
  chosen[2] = 'titok_s128.yaml';
  await run();
  expect(ran[1]?.slice(-2)).toEqual(['--config', join(folder, 'titok_s128.yaml')]);
});

it('asks for no configuration where there is none', async () => {
  chosen = ['the workspace’s .venv', 'LlamaGen'];
  await run();
  expect(ran[1]?.slice(0, 5)).toEqual(['-m', 'tatok', 'import', 'llamagen', checkpoint]);
  expect(ran[1]).not.toContain('--config');
});

it('overwrites nothing', async () => {
  await mkdir(join(folder, 'titok-tokenizer_titok_s128'));
  await run();
  expect(ran[1]?.at(-1)).toBe(join(folder, 'titok-tokenizer_titok_s128-2'));
});

it('says what the importer says of a checkpoint that it does not take', async () => {
  program = (args, onLine) => {
    if (args[0] === '-c') onLine('3 11');
    const errors = ['UserWarning: something', 'tatok: the checkpoint lacks encoder.x'];
    return Promise.resolve(args[0] === '-c' ? done : { status: 1, errors });
  };
  await run();
  expect(told()).toEqual([`${basename(checkpoint)} could not be imported: the checkpoint lacks encoder.x`]);
});

it.each([
  ['3 10', 'tatok needs Python 3.11 or later, and'],
  ['hello', 'is not a Python that runs'],
])('refuses an interpreter that says %s', async (line, message) => {
  program = (_args, onLine) => {
    onLine(line);
    return Promise.resolve(done);
  };
  await run();
  expect(told().join()).toContain(message);
  expect(ran).toHaveLength(1);
});

it('is silent when the user cancels', async () => {
  const before = program;
  program = async (args, onLine) => {
    if (args[0] === '-c') return before(args, onLine);
    cancel();
    return { status: null, errors: [] };
  };
  await run();
  expect(told()).toEqual([]);
  expect(ran).toHaveLength(2);
});

it('does nothing in Restricted Mode but say so', async () => {
  Object.assign(vscode.workspace, { isTrusted: false });
  await run();
  Object.assign(vscode.workspace, { isTrusted: true });
  expect(told().join()).toContain('Restricted Mode');
  expect(ran).toEqual([]);
});

it('knows the families that the Python package knows', async () => {
  const source = await readFile('models/training/tatok/importers/families.py', 'utf8');
  const [, list = ''] = /^Kind = Literal\[([^\]]*)\]/m.exec(source) ?? [];
  expect([...list.matchAll(/"([^"]+)"/g)].map(([, kind]) => kind).sort()).toEqual(Object.keys(families).sort());
});
