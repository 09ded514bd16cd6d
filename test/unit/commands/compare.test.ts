import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { compareCommand, registerCompare, type CompareServices } from '../../../src/commands/compare';
import type { Models } from '../../../src/host/models';
import type { ComparedSide, ComparedSides } from '../../../src/panel/comparisonPanel';
import { TatokError } from '../../../src/method/errors';
import manifest from '../../../package.json';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  // The mock's Uri.parse makes instances of the base class.
  const Uri = Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri;
  return { ...mock, Uri: Object.assign(Uri, { joinPath: mock.Uri.joinPath }) };
});

const cat = vscode.Uri.parse('file:///photos/cat.PNG');
const dog = vscode.Uri.parse('file:///photos/dog.jpeg');
const notes = vscode.Uri.parse('file:///photos/notes.txt');
const settings = { lossRate: 0.8, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const shown: ComparedSide = { uri: cat, model: '/models/tatok-s-256', cropMode: 'centre', settings };

const open = vi.fn<(compared: ComparedSides) => void>();
const models = {
  chosenFor: vi.fn<Models['chosenFor']>((uri) => (uri.path.endsWith('dog.jpeg') ? '/models/mine' : undefined)),
  options: vi.fn<Models['options']>(() =>
    Promise.resolve([
      { directory: '/models/tatok-s-256', label: 'tatok-s-256' },
      { directory: '/models/mine', label: 'mine' },
    ]),
  ),
  ask: vi.fn<Models['ask']>(),
};
let run: (...args: unknown[]) => Promise<void>;

function register(active: CompareServices['inspectors']['active']): void {
  vi.mocked(vscode.commands.registerCommand).mockImplementation((command, callback) => {
    expect(command).toBe(compareCommand);
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  registerCompare({ inspectors: { active }, comparisons: { open }, models });
}

/** Takes the items with these labels, one in each quick pick. */
function pick(...labels: string[]): void {
  for (const label of labels) {
    vi.mocked(vscode.window.showQuickPick).mockImplementationOnce(async (items) =>
      (await items).find((item) => item.label === label),
    );
  }
}

beforeEach(() => {
  for (const mock of [
    open,
    models.ask,
    vscode.window.showQuickPick,
    vscode.window.showOpenDialog,
    vscode.window.showWarningMessage,
    vscode.window.showInformationMessage,
    vscode.window.showErrorMessage,
  ]) {
    vi.mocked(mock).mockReset();
  }
  register(undefined);
});

describe('Compare Tokenizations in the Explorer', () => {
  it('compares the two images selected, each with the model chosen for it', async () => {
    await run(dog, [cat, dog]);
    expect(open.mock.calls).toEqual([[{ a: { uri: cat, model: undefined }, b: { uri: dog, model: '/models/mine' } }]]);
  });

  it.each([[[cat, notes]], [[cat, dog, vscode.Uri.parse('file:///photos/owl.webp')]]])(
    'asks for exactly two images when others are selected',
    async (selected) => {
      await run(cat, selected);
      expect(open).not.toHaveBeenCalled();
      expect(vscode.window.showWarningMessage).toHaveBeenCalledWith(expect.stringContaining('exactly two images'));
    },
  );

  it('is offered for two selected files', () => {
    const item = manifest.contributes.menus['explorer/context'].find(({ command }) => command === compareCommand);
    expect(item?.when).toMatch(/^listDoubleSelection && resourceExtname =~ /);
  });
});

describe('Compare Tokenizations in an inspector', () => {
  beforeEach(() => register({ compared: shown }));

  it('puts another image beside it, by the same model under the same settings', async () => {
    pick('With another image…');
    vi.mocked(vscode.window.showOpenDialog).mockResolvedValue([dog]);
    await run(cat, { groupId: 0 });
    expect(open).toHaveBeenCalledWith({ a: shown, b: { ...shown, uri: dog } });
  });

  it.each([
    [0.8, 0.55],
    [0.1, 0.35],
  ])('shows the same tokenization under two thresholds: ε %s and %s', async (lossRate, other) => {
    const side = { ...shown, settings: { ...settings, lossRate } };
    register({ compared: side });
    pick('With another threshold');
    await run();
    expect(open).toHaveBeenCalledWith({ a: side, b: { ...side, settings: { ...settings, lossRate: other } } });
  });

  it('puts a ranking by entropy against one by distortion, first of all and in one step', async () => {
    register({ compared: { ...shown, ranked: true, settings: { ...settings, ranking: 'sequential' } } });
    pick('By entropy against by distortion');
    await run();
    const [[compared] = []] = open.mock.calls;
    expect([compared?.a.settings, compared?.b.settings]).toEqual([
      { ...settings, ranking: 'entropy' },
      { ...settings, ranking: 'distortion' },
    ]);
    expect([compared?.a.uri, compared?.b.model]).toEqual([cat, shown.model]);
    const offered = await vi.mocked(vscode.window.showQuickPick).mock.calls[0]?.[0];
    expect(offered?.[0]?.label).toBe('By entropy against by distortion');
  });

  it('offers no other threshold of a model that can drop nothing', async () => {
    const fixed = { uri: cat, model: '/models/fixed-57', cropMode: 'centre', settings: undefined } as const;
    register({ compared: fixed });
    pick('With another model…', 'mine');
    await run();
    const offered = await vi.mocked(vscode.window.showQuickPick).mock.calls[0]?.[0];
    expect(offered?.map((item) => item.label)).toEqual(['With another image…', 'With another model…']);
    expect(open).toHaveBeenCalledWith({ a: fixed, b: { ...fixed, model: '/models/mine' } });
  });

  it('puts another model beside it, which is not the one in use', async () => {
    pick('With another model…', 'mine');
    await run();
    expect(open).toHaveBeenCalledWith({ a: shown, b: { ...shown, model: '/models/mine' } });
    const offered = await vi.mocked(vscode.window.showQuickPick).mock.calls[1]?.[0];
    expect(offered?.map((item) => item.label)).toEqual(['mine', 'Choose folder…']);
  });

  it('asks for the folder of another model, and says what is wrong with it', async () => {
    pick('With another model…', 'Choose folder…');
    models.ask.mockRejectedValue(new TatokError('model-missing', 'There is no model.', 'Choose another folder.'));
    await run();
    expect(open).not.toHaveBeenCalled();
    expect(vscode.window.showErrorMessage).toHaveBeenCalledWith('There is no model. Choose another folder.');
  });

  it.each([[[]], [['With another image…']], [['With another model…']]])(
    'does nothing when %s is all that is chosen',
    async (labels) => {
      pick(...labels);
      await run();
      expect(open).not.toHaveBeenCalled();
    },
  );

  it('is offered by the palette and the title of an inspector only', () => {
    const { commandPalette, 'editor/title': title } = manifest.contributes.menus;
    for (const menu of [commandPalette, title]) {
      const item = menu.find(({ command }) => command === compareCommand);
      expect(item?.when).toBe("activeCustomEditorId == 'tatok.inspector'");
    }
  });
});

it('says what to do when there is nothing to compare', async () => {
  await run();
  expect(vscode.window.showInformationMessage).toHaveBeenCalledOnce();
  expect(open).not.toHaveBeenCalled();
});
