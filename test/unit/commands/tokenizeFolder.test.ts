import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import manifest from '../../../package.json';
import {
  openDatasetCommand,
  registerOpenDataset,
  registerTokenizeFolder,
  tokenizeFolderCommand,
} from '../../../src/commands/tokenizeFolder';
import { TokenDataset, type Recipe } from '../../../src/tokens/tokenDataset';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  return { ...mock, Uri: Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri };
});

const recipe: Recipe = {
  format: 'tatok-tokens',
  version: 1,
  model: { name: 'tiny', hash: 'a'.repeat(64) },
  grid: [2, 3],
  globalTokens: 2,
  settings: {},
  provider: 'cpu',
  precision: 'float32',
  batchSize: 2,
  crop: 'centre',
  input: { count: 30, hash: 'b'.repeat(64), sources: ['photos'] },
  shardSize: 10,
};

let folder: string;
let opened: unknown[][];
let run: (...args: unknown[]) => Promise<void>;
let show: typeof run;
const pick = vi.mocked(vscode.window.showQuickPick);
/** Labels and descriptions of the places that were offered last. */
const offered = () => (pick.mock.lastCall?.[0] as unknown as vscode.QuickPickItem[]).map((item) => item.label);
/** Chooses a place by its label. */
const choose = (label: string) =>
  pick.mockImplementationOnce(async (items) =>
    (items as unknown as vscode.QuickPickItem[]).find((item) => item.label === label),
  );

beforeEach(async () => {
  vi.clearAllMocks();
  folder = await mkdtemp(join(tmpdir(), 'tatok-folder-'));
  await mkdir(join(folder, 'photos'));
  for (const name of ['b.png', 'a.jpg', 'notes.txt']) await writeFile(join(folder, 'photos', name), '');
  opened = [];
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    if (command === tokenizeFolderCommand) run = callback as typeof run;
    if (command === openDatasetCommand) show = callback as typeof run;
    return { dispose: () => undefined };
  });
  const datasets = { open: (...args: unknown[]) => void opened.push(args) };
  registerTokenizeFolder(datasets);
  registerOpenDataset(datasets);
});

afterEach(() => rm(folder, { recursive: true }));

const uri = (...names: string[]) => vscode.Uri.file(join(folder, ...names));

it('a folder’s data set goes beside it by default', async () => {
  choose('photos.tokens');
  await run(uri('photos'), [uri('photos')]);
  expect(opened).toEqual([[join(folder, 'photos.tokens'), [join(folder, 'photos')]]]);
  expect(offered()).toEqual(['photos.tokens', 'Choose another place…']);
});

it('of several images those are taken that are images, in their order', async () => {
  choose('photos-selection.tokens');
  await run(uri('photos/b.png'), [uri('photos/b.png'), uri('photos/a.jpg'), uri('photos/notes.txt')]);
  const images = [join(folder, 'photos/a.jpg'), join(folder, 'photos/b.png')];
  expect(opened).toEqual([[join(folder, 'photos/photos-selection.tokens'), images]]);
});

it('a data set that is there is offered to be gone on with, and a new name beside it', async () => {
  await TokenDataset.begin(join(folder, 'photos.tokens'), recipe);
  choose('Resume photos.tokens');
  await run(uri('photos'), []);
  expect(offered()).toEqual(['Resume photos.tokens', 'photos-2.tokens', 'Choose another place…']);
  expect(pick.mock.lastCall?.[0]).toMatchObject([{ description: '0 of 30 images are tokenized' }, {}, {}]);
  expect(opened).toEqual([[join(folder, 'photos.tokens'), [join(folder, 'photos')]]]);
});

it('another place is asked for', async () => {
  choose('Choose another place…');
  vi.mocked(vscode.window.showSaveDialog).mockResolvedValueOnce(vscode.Uri.file(join(folder, 'mine.tokens')));
  await run(uri('photos'));
  expect(opened).toEqual([[join(folder, 'mine.tokens'), [join(folder, 'photos')]]]);
});

it('a data set itself is shown', async () => {
  await TokenDataset.begin(join(folder, 'photos.tokens'), recipe);
  await run(uri('photos.tokens'));
  await show(uri('photos.tokens'));
  expect(opened).toEqual([[join(folder, 'photos.tokens')], [join(folder, 'photos.tokens')]]);
  expect(pick).not.toHaveBeenCalled();
  await show(uri('photos'));
  expect(vi.mocked(vscode.window.showErrorMessage).mock.lastCall?.[0]).toContain('photos is no token data set');
  expect(opened).toHaveLength(2);
});

it('without an argument a folder is asked for, and nothing happens where none is chosen', async () => {
  vi.mocked(vscode.window.showOpenDialog).mockResolvedValueOnce(undefined);
  await run();
  vi.mocked(vscode.window.showOpenDialog).mockResolvedValueOnce([uri('photos')]);
  pick.mockResolvedValueOnce(undefined);
  await run();
  expect(opened).toEqual([]);
});

it('other file systems and other files are refused in one sentence', async () => {
  await run(vscode.Uri.parse('memfs:/photos'));
  expect(vi.mocked(vscode.window.showErrorMessage).mock.lastCall?.[0]).toContain('not of memfs: folders');
  await run(uri('photos/notes.txt'));
  expect(vi.mocked(vscode.window.showWarningMessage).mock.lastCall?.[0]).toContain('Choose a folder, or images');
  expect(opened).toEqual([]);
});

it('the Explorer offers it for folders of files and for several images', () => {
  const { when } =
    manifest.contributes.menus['explorer/context'].find(({ command }) => command === tokenizeFolderCommand) ?? {};
  expect(when).toMatch(
    /^resourceScheme == file && \(explorerResourceIsFolder && resourceExtname != \.tokens \|\| listMultiSelection && /,
  );
});
