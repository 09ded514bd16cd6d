/** Token files and data sets as documents of VS Code: opened, edited, undone, saved, backed up, read again. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { readBundle } from '../../../src/bundle/manifest';
import { withEdits } from '../../../src/export/editedTokens';
import { readTokens, settingsOfNpz, tokenizationNpz } from '../../../src/export/npz';
import { tokensRecord } from '../../../src/export/tokens';
import type { Inference } from '../../../src/host/sharedInference';
import { force, noEdits, type Edits } from '../../../src/method/edits';
import { decodedFormat, type ModelDescription, type ShownImage } from '../../../src/method/types';
import type { DocumentServices, DocumentState, WatchedImage } from '../../../src/panel/tokenizationDocument';
import { DatasetRows } from '../../../src/panel/tokenSources';
import { TokensDocument, type TokensEdit } from '../../../src/panel/tokensDocument';
import { tinyTokenization } from '../export/tokenization';
import { refusalOf } from '../refusal';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const bundle = join(import.meta.dirname, '../../fixtures/bundles/tiny');
const fixtures = join(import.meta.dirname, '../../fixtures/tokens');

let model: ModelDescription;
let bytes: Uint8Array;
beforeAll(async () => {
  ({ model } = await readBundle(bundle));
  bytes = new TextEncoder().encode(JSON.stringify(tokensRecord(tokenizationOf(model))));
});

/** 4 global tokens and 16 patches, the first 4 of which are dropped. */
function tokenizationOf(of: ModelDescription) {
  const { image, tokens, reconstruction } = tinyTokenization;
  return {
    ...tinyTokenization,
    model: of,
    image: { ...image, cropMode: 'centre' as const, width: 64, height: 64, grid: { rows: 4, columns: 4 } },
    tokens: {
      ...tokens,
      globalCodes: Int32Array.of(9, 8, 7, 6),
      patchCodes: Int32Array.from({ length: 16 }, (_, i) => i),
      entropyBits: new Float32Array(16),
      surprisalBits: new Float32Array(16),
      expectedCodes: new Float32Array(64),
    },
    ranking: undefined,
    reconstruction: { ...reconstruction, keep: Uint8Array.from({ length: 16 }, (_, i) => Number(i > 3)) },
  };
}

const { fs } = vscode.workspace;
/** What is in the folder of the file. */
let folder: Map<string, Uint8Array>;
beforeEach(() => {
  folder = new Map();
  vi.mocked(fs.readDirectory).mockImplementation(() =>
    Promise.resolve([...folder.keys()].map((name): [string, vscode.FileType] => [name, vscode.FileType.File])),
  );
  const at = (uri: vscode.Uri) => {
    const found = folder.get(uri.path.slice(uri.path.lastIndexOf('/') + 1));
    return found === undefined ? Promise.reject(new Error('there is none')) : Promise.resolve(found);
  };
  vi.mocked(fs.readFile).mockImplementation(at);
  vi.mocked(fs.stat).mockImplementation(async (uri) => ({ size: (await at(uri)).length }) as vscode.FileStat);
  vi.mocked(fs.writeFile).mockReset().mockResolvedValue(undefined);
  vi.mocked(vscode.window.showErrorMessage).mockReset();
});

function setUp({
  uri = 'file:///photos/cat.tokens.json',
  directory = bundle,
  backup = undefined as Uint8Array | undefined,
} = {}) {
  const changed = new vscode.EventEmitter<void>();
  const world = { bytes: bytes as Uint8Array | Error };
  const never = () => ({ dispose: () => undefined });
  const openTokens = vi.fn<Inference['openTokens']>(async ({ tokens, cropMode, settings, original }) => {
    const image = {
      ...{ cropMode, width: tokens.width, height: tokens.height, tiles: { rows: 1, columns: 1 } },
      ...{ grid: { rows: 4, columns: 4 }, format: original === undefined ? decodedFormat : 'png' },
    } as unknown as ShownImage;
    const { globalCodes, patchCodes, keep } = tokens;
    return Promise.resolve({
      ...{ image, model, provider: { provider: 'cpu', failures: [] }, timings: {} },
      settings: { ...model.defaults, ...(settings as typeof model.defaults) },
      tokens: { ...tokenizationOf(model).tokens, globalCodes, patchCodes, keep },
      ...{ analyses: {} as never, ask: vi.fn(), close: vi.fn() },
    });
  });
  const file: WatchedImage = {
    uri: vscode.Uri.parse(uri),
    name: uri.slice(uri.lastIndexOf('/') + 1),
    onDidChange: changed.event,
    read: () => (world.bytes instanceof Error ? Promise.reject(world.bytes) : Promise.resolve(world.bytes)),
    dispose: vi.fn(),
  };
  const services: DocumentServices = {
    inference: { acquire: never, loadModel: vi.fn(), open: vi.fn(), openTokens },
    onDidRestart: never,
    onDidLoad: never,
    configuration: {
      onDidChange: never,
      read: () => ({
        ...{ choice: { directory, providers: ['cpu'] }, filter: { lossRate: 0.9 }, cropMode: 'tiles' },
        ...{ cudaLibraryPath: undefined, maxMegapixels: 100, stepLimitMs: undefined },
      }),
    },
    log: { info: vi.fn(), error: vi.fn() },
  };
  const document = new TokensDocument(file, services, undefined, backup);
  const changes: TokensEdit[] = [];
  document.onDidChangeContent((edit) => changes.push(edit));
  const told: Edits[] = [];
  document.onDidEdit((edits) => told.push(edits));
  return {
    document,
    openTokens,
    changes,
    told,
    world,
    async opened() {
      document.start();
      await vi.waitFor(() => expect(document.state.kind).toMatch(/tokenized|failed/));
    },
    /** Another program writes the file. */
    async written(by: Uint8Array | Error) {
      world.bytes = by;
      const before = openTokens.mock.calls.length;
      changed.fire();
      await new Promise((resolve) => setTimeout(resolve, 350));
      await vi.waitFor(() => expect(document.state.kind).toMatch(/tokenized|failed/));
      return openTokens.mock.calls.length - before;
    },
  };
}

const tokenization = ({ state }: { readonly state: DocumentState }) => {
  if (state.kind !== 'tokenized') throw new Error(JSON.stringify(state));
  return state.tokenization;
};
const failure = ({ state }: { readonly state: DocumentState }) => (state.kind === 'failed' ? state.failure : undefined);
const forced = force(noEdits, [0], 'keep');
const request = { edits: forced, label: 'patch (0, 0) kept' };

describe('a token file', () => {
  it('opens with its own settings, kept set and crop, whatever those of the user are', async () => {
    const { document, openTokens, opened } = setUp();
    await opened();
    expect(openTokens).toHaveBeenCalledOnce();
    expect(openTokens.mock.calls[0]?.[0]).toEqual({
      choice: { directory: bundle, providers: ['cpu'] },
      ...{ cropMode: 'centre', everyCode: true, maxMegapixels: 100 },
      settings: { lossRate: 0.4, edgePriority: 0, budget: 'image', ranking: 'entropy' },
      tokens: expect.objectContaining({ width: 64, keep: tokenizationOf(model).reconstruction.keep }) as unknown,
    });
    expect(tokenization(document).origin).toEqual({
      original: null,
      note: null,
      row: null,
      everyCode: true,
      edits: noEdits,
    });
  });

  it.each([
    ['cat.PNG', 'cat.tokens.json'],
    ['cat.input.png', 'cat.tokens.json'],
    ['cat.jpg', 'cat.jpg.tokens.json'],
    ['cat.webp', 'cat.npz'],
  ])('finds its picture by name: %s of %s', async (picture, name) => {
    folder.set('dog.png', Uint8Array.of(1)).set('cat.txt', Uint8Array.of(2)).set(picture, Uint8Array.of(3));
    const { document, openTokens, opened } = setUp({ uri: `file:///photos/${name}` });
    await opened();
    expect(openTokens.mock.calls[0]?.[0].original).toEqual(Uint8Array.of(3));
    expect(tokenization(document).origin?.original).toBe(picture);
    expect(document.exportedAs.name).toBe(name.replace('.json', ''));
  });

  it('of another model is refused with both names and the offer to choose that, before a model is loaded', async () => {
    const { document, openTokens, opened } = setUp({ directory: join(bundle, '../patches-only') });
    await opened();
    expect(failure(document)?.message).toMatch(
      /^cat\.tokens\.json has tokens of the model tiny 0\.0\.1 \(\w+…\), not of [\w-]+ [\d.]+ \(\w+…\)\. Choose the model that made them\.$/,
    );
    expect(failure(document)?.actions).toEqual(['chooseModel', 'showOutput']);
    expect(openTokens).not.toHaveBeenCalled();
  });

  it('is edited, undone and redone, and its pages are told', async () => {
    const { document, changes, told, opened } = setUp();
    await opened();
    document.edit(request);
    document.edit(request);
    expect(changes.map(({ label }) => label)).toEqual(['patch (0, 0) kept']);
    expect(tokenization(document).origin?.edits).toEqual(forced);
    changes[0]?.undo();
    expect(tokenization(document).origin?.edits).toEqual(noEdits);
    changes[0]?.redo();
    expect(told).toEqual([forced, noEdits, forced]);
    // The tokens that the edits lie over stay.
    expect(tokenization(document).tokens.keep?.[0]).toBe(0);
  });

  it('takes no edits of tokens that it does not have', async () => {
    const { document, changes, told, opened } = setUp();
    document.edit(request);
    await opened();
    const beyond = { ...noEdits, replaced: [{ token: 'patch', index: 3, code: 4096 }] } as const;
    expect((await refusalOf(() => document.edit({ edits: beyond, label: 'x' }))).message).toMatch(/codebook of 4096/);
    expect([changes, told]).toEqual([[], [noEdits]]);
  });

  it('is saved with its edits, which other programs read', async () => {
    const { document, opened, written } = setUp();
    await opened();
    document.edit(request);
    await document.save();
    const [uri, saved = new Uint8Array()] = vi.mocked(fs.writeFile).mock.calls[0] ?? [];
    expect(uri?.toString()).toBe('file:///photos/cat.tokens.json');
    expect(Buffer.from(saved)).toEqual(Buffer.from(withEdits('cat.tokens.json', bytes, model, forced)));
    expect(readTokens('a', saved, model).tokens.keep[0]).toBe(1);
    // Its own writing is no news.
    expect(await written(saved)).toBe(0);
    expect(tokenization(document).origin?.edits).toEqual(forced);
    // What was saved can be undone, and saved again.
    document.edit({ edits: noEdits, label: 'back' });
    await document.save();
    expect(readTokens('a', vi.mocked(fs.writeFile).mock.lastCall?.[1] ?? bytes, model).tokens.keep[0]).toBe(0);
  });

  it('is written elsewhere by Save As', async () => {
    const { document, opened } = setUp();
    await opened();
    document.edit(request);
    await document.write(vscode.Uri.parse('memfs:/other.tokens.json'));
    const [uri, saved = bytes] = vi.mocked(fs.writeFile).mock.calls[0] ?? [];
    expect([uri?.toString(), readTokens('a', saved, model).edits.forcedKept]).toEqual([
      'memfs:/other.tokens.json',
      [0],
    ]);
  });

  it('is read again when another program writes it, unless it is edited', async () => {
    const { document, opened, written } = setUp();
    await opened();
    const other = withEdits('a', bytes, model, force(noEdits, [5], 'drop'));
    expect(await written(other)).toBe(1);
    expect(tokenization(document).origin?.edits).toEqual(force(noEdits, [5], 'drop'));
    document.edit(request);
    expect(await written(bytes)).toBe(0);
    expect(tokenization(document).origin?.edits).toEqual(forced);
    expect(await written(new Error('gone'))).toBe(0);
  });

  it('goes back to the file when it is reverted', async () => {
    const { document, opened } = setUp();
    await opened();
    document.edit(request);
    document.revert();
    await vi.waitFor(() => expect(tokenization(document).origin?.edits).toEqual(noEdits));
  });

  it('comes back with the edits of a backup, as they were taken', async () => {
    const backup = withEdits('cat.tokens.json', bytes, model, forced);
    const { document, opened, written } = setUp({ backup });
    // Not yet opened, as after two reloads in a row.
    await document.write(vscode.Uri.parse('file:///backup'));
    expect(vi.mocked(fs.writeFile).mock.calls[0]?.[1]).toBe(backup);
    await opened();
    expect(tokenization(document).origin?.edits).toEqual(forced);
    // It is edited, although it is as the backup has it.
    expect(await written(withEdits('a', bytes, model, noEdits))).toBe(0);
    await document.save();
    expect(readTokens('a', vi.mocked(fs.writeFile).mock.lastCall?.[1] ?? bytes, model).edits.forcedKept).toEqual([0]);
    document.revert();
    await vi.waitFor(() => expect(tokenization(document).origin?.edits).toEqual(noEdits));
  });

  it('of NumPy keeps what else it says', async () => {
    const { document, opened, world } = setUp({ uri: 'file:///photos/cat.npz' });
    world.bytes = tokenizationNpz('cat.png', tokenizationOf(model));
    await opened();
    document.edit(request);
    await document.save();
    const saved = vi.mocked(fs.writeFile).mock.lastCall?.[1] ?? bytes;
    expect(readTokens('a', saved, model).edits.forcedKept).toEqual([0]);
    expect(settingsOfNpz('a', saved)).toMatchObject({ image: 'cat.png', psnr: null });
  });
});

describe('a data set', () => {
  let directory: string;
  let rows: DatasetRows;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tatok-rows-'));
    await cp(join(fixtures, 'typescript.tokens'), join(directory, 'some.tokens'), { recursive: true });
  });
  afterAll(() => rm(directory, { recursive: true }));
  beforeEach(() => {
    rows = new DatasetRows(vscode.Uri.file(join(directory, 'some.tokens/dataset.json')));
  });
  /** The model of the fixture: 4×3 patches. */
  const made = () => ({
    ...model,
    ...{ hash: '8950abfda7b727630760dd35bcf5c3daa7631aff223a90f7728c0d2521dde10c', globalTokens: 2, patchTokens: 12 },
    grid: { rows: 4, columns: 3 },
  });

  it('shows its first row, then the next and the one that is chosen, with the codes that each has', async () => {
    const first = await rows.read(made());
    expect(first.origin).toEqual({ note: null, row: { index: 0, count: 5, path: 'a/cat.jpg' } });
    expect(first.params).toMatchObject({ everyCode: false, cropMode: 'centre', settings: { lossRate: 0.5 } });
    expect(first.params.tokens).toMatchObject({
      globalCodes: Int32Array.of(0, 4095),
      patchCodes: Int32Array.of(7, 0, 0, 0, 0, 4095, 12, 0, 0, 0, 0, 300),
    });
    expect(await rows.choose('previous')).toBe(false);
    expect(await rows.choose('next')).toBe(true);
    expect((await rows.read(made())).origin.row).toMatchObject({ index: 1, path: 'a/dog.png' });
    vi.mocked(vscode.window.showQuickPick).mockImplementationOnce(async (items) => (await items)[3]);
    expect(await rows.choose('list')).toBe(true);
    const all = await rows.read(made());
    expect([all.origin.row?.path, all.params.everyCode]).toEqual(['Ж😀.webp', true]);
    expect(await rows.choose('next')).toBe(true);
    expect(await rows.choose('next')).toBe(false);
  });

  it('goes back to the row of a former window, unless one was chosen since or is no longer there', async () => {
    expect(rows.restore(3)).toBe(true);
    expect((await rows.read(made())).origin.row?.index).toBe(3);
    expect(rows.restore(3)).toBe(false);
    expect(rows.restore(99)).toBe(true);
    expect((await rows.read(made())).origin.row?.index).toBe(0);
    await rows.choose('next');
    expect(rows.restore(3)).toBe(false);
  });

  it('lists rows that have no tokens with the sentence why, and says it when one is chosen', async () => {
    await rows.read(made());
    let listed: readonly vscode.QuickPickItem[] = [];
    vi.mocked(vscode.window.showQuickPick).mockImplementationOnce(async (items) => {
      listed = await items;
      return listed[2];
    });
    expect(await rows.choose('list')).toBe(true);
    expect(listed).toMatchObject([
      { label: 'a/cat.jpg', description: '0 · a · shown' },
      {},
      { label: 'b/none.gif', detail: 'There is no such file.' },
      {},
      {},
    ]);
    expect(await refusalOf(() => rows.read(made()))).toMatchObject({
      code: 'tokens-invalid',
      message: 'b/none.gif has no tokens: There is no such file.',
    });
    expect(await rows.choose('next')).toBe(true);
  });

  it('finds the picture of a row in its sources by its hash alone', async () => {
    const cat = await readFile(join(fixtures, '../bundles/image.png'));
    await mkdir(join(directory, 'in/a'), { recursive: true });
    await writeFile(join(directory, 'in/a/cat.jpg'), cat);
    expect((await rows.read(made())).original).toBeUndefined();
    // As if the row were of this file.
    const id = createHash('sha256').update(cat).digest('hex');
    const { originalOfRow } = await import('../../../src/panel/originals');
    const dataset = join(directory, 'some.tokens');
    const found = (path: string, sources = ['in']) => originalOfRow(dataset, sources, { id, path });
    expect(await found('a/cat.jpg')).toEqual({ name: 'a/cat.jpg', file: new Uint8Array(cat) });
    // A list of paths, and an image that was named itself.
    expect((await found('a/cat.jpg', ['in/list.txt']))?.name).toBe('a/cat.jpg');
    expect((await found('cat.jpg', ['in/a/cat.jpg']))?.name).toBe('cat.jpg');
    // No path leads elsewhere.
    expect(await found('../in/a/cat.jpg', ['some.tokens'])).toBeUndefined();
    expect(await found('/in/a/cat.jpg')).toBeUndefined();
  });

  it('of another model is refused with both names', async () => {
    expect(await refusalOf(() => rows.read(model))).toMatchObject({
      code: 'tokens-of-another-model',
      message: expect.stringMatching(
        /^some\.tokens has tokens of the model tiny 0\.0\.1 \(8950abfda7b7…\), not of tiny/,
      ) as string,
    });
  });

  it('is read from the file system alone', async () => {
    const remote = new DatasetRows(vscode.Uri.parse('memfs:/some.tokens/dataset.json'));
    expect((await refusalOf(() => remote.read(made()))).message).toBe(
      'Token data sets are read from files, not from memfs: folders.',
    );
  });

  it('is not saved: its rows stay as they are', async () => {
    const { document } = setUp({ uri: 'file:///photos/some.tokens/dataset.json' });
    expect(document.kind).toBe('dataset');
    expect((await refusalOf(() => document.save())).message).toMatch(/^some\.tokens is not a file of one picture/);
  });
});
