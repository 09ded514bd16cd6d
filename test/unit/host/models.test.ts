import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import type { TatokSettings } from '../../../src/host/tatokSettings';
import { Models } from '../../../src/host/models';
import { refusalOf } from '../refusal';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const image = vscode.Uri.parse('file:///project/photos/cat.png');
const manifestPath = join(import.meta.dirname, '../../../models/tatok-s-256/manifest.json');

class FakeMemento {
  private readonly values = new Map<string, unknown>();
  get<T>(key: string, otherwise?: T): T {
    return (this.values.has(key) ? this.values.get(key) : otherwise) as T;
  }
  update(key: string, value: unknown): Promise<void> {
    this.values.set(key, structuredClone(value));
    return Promise.resolve();
  }
}

let folder: string;
let bundled: string;
let configured: string;
let models: Models;
let startWith: (bundledFolder: string) => Models;

/** A folder with a manifest of that name; its graphs matter only when it is loaded. */
async function bundle(folderName: string, name: string): Promise<string> {
  const directory = join(folder, folderName);
  await mkdir(directory);
  const manifest = { ...(JSON.parse(await readFile(manifestPath, 'utf8')) as object), name };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  return directory;
}

function answerDialog(directory: string | undefined): void {
  vi.mocked(vscode.window.showOpenDialog).mockResolvedValueOnce(
    directory === undefined ? undefined : [vscode.Uri.file(directory)],
  );
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-models-'));
  bundled = await bundle('tatok-s-256', 'tatok-s-256');
  configured = bundled;
  const [globalState, workspaceState] = [new FakeMemento(), new FakeMemento()];
  const read = () => ({ choice: { directory: configured, providers: ['cpu'] } }) as unknown as TatokSettings;
  startWith = (folder) => new Models(vscode.Uri.file(folder), { read }, globalState, workspaceState);
  models = startWith(bundled);
});
afterEach(() => rm(folder, { recursive: true }));

describe('Models', () => {
  it('offers the bundled, the configured and the recent ones, each once and by its own name', async () => {
    configured = await bundle('run-7', 'tatok-l-256');
    const recent = await bundle('mine', 'mine');
    await models.remember(image, recent);
    await models.remember(image, configured);
    expect(await models.options(image, recent)).toEqual([
      { directory: bundled, label: 'tatok-s-256' },
      { directory: configured, label: 'tatok-l-256 (run-7)' },
      { directory: recent, label: 'mine' },
    ]);
  });

  it('remembers the five folders that were used last, and the models of the last hundred images', async () => {
    const all: string[] = [];
    for (let i = 0; i < 7; i++) all.push(await bundle(`run-${i}`, `model-${i}`));
    for (const directory of [...all, all[3] ?? '']) await models.remember(image, directory);
    const offered = (await models.options(image, bundled)).map(({ directory }) => directory);
    expect(offered).toEqual([bundled, ...[3, 6, 5, 4, 2].map((i) => all[i])]);
    const images = Array.from({ length: 101 }, (_, i) => vscode.Uri.parse(`file:///photos/${i}.png`));
    for (const each of images) await models.remember(each, '/models/mine');
    expect(images.map((each) => models.chosenFor(each))).toEqual([
      undefined,
      ...Array<string>(100).fill('/models/mine'),
    ]);
  });

  it('leaves out recent folders that are gone, but not the one in use', async () => {
    const gone = await bundle('gone', 'gone');
    await models.remember(image, gone);
    await rm(gone, { recursive: true });
    expect((await models.options(image, bundled)).map(({ label }) => label)).toEqual(['tatok-s-256']);
    expect((await models.options(image, gone)).map(({ label }) => label)).toEqual(['tatok-s-256', 'gone']);
  });

  it('remembers the model of an image until the configured one is chosen again', async () => {
    expect(models.chosenFor(image)).toBeUndefined();
    await models.remember(image, '/models/mine');
    expect(models.chosenFor(image)).toBe('/models/mine');
    await models.remember(image, bundled);
    expect(models.chosenFor(image)).toBeUndefined();
  });

  it('finds the bundled model again where an update has put it', async () => {
    configured = '/models/configured';
    await models.remember(image, bundled);
    const kept = models.kept(bundled);
    const updated = startWith('/extensions/tatok-0.2.0/models/tatok-s-256');
    expect(updated.chosenFor(image)).toBe('/extensions/tatok-0.2.0/models/tatok-s-256');
    expect(updated.located(kept)).toBe('/extensions/tatok-0.2.0/models/tatok-s-256');
    expect(updated.located(updated.kept('/models/mine'))).toBe('/models/mine');
  });

  it('asks for a folder and refuses one without a manifest in one sentence', async () => {
    answerDialog(bundled);
    expect(await models.ask(bundled)).toBe(bundled);
    answerDialog(undefined);
    expect(await models.ask(bundled)).toBeUndefined();
    answerDialog(folder);
    const { code, message, advice } = await refusalOf(() => models.ask(bundled));
    expect(code).toBe('model-missing');
    expect(message).toBe(`There is no model: ${join(folder, 'manifest.json')} cannot be read.`);
    expect(advice).toContain('Choose the folder of a TaTok bundle');
  });
});
