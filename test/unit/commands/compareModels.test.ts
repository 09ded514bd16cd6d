import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { registerCompareModels, type CompareModelsServices } from '../../../src/commands/compareModels';
import type { ModelTableRequest } from '../../../src/panel/modelTableWork';
import { TatokError } from '../../../src/method/errors';
import { modelWith, tinyModel } from '../model';

vi.mock('vscode', async () => {
  const mock = (await import('jest-mock-vscode')).createVSCodeMock(vi);
  // The mock's Uri.parse makes instances of the base class.
  const Uri = Object.getPrototypeOf(mock.Uri) as typeof vscode.Uri;
  return { ...mock, Uri: Object.assign(Uri, { joinPath: mock.Uri.joinPath }) };
});

const cat = vscode.Uri.parse('file:///photos/cat.png');
const dog = vscode.Uri.parse('file:///photos/dog.png');
const fixed = modelWith(tinyModel, { globalTokens: 3, patchTokens: 0, filters: false }, { kind: 'vq', size: 16 });
const open = vi.fn<(request: ModelTableRequest) => void>();
const models = {
  options: vi.fn(() =>
    Promise.resolve([
      { directory: '/models/tiny', label: 'tiny' },
      { directory: '/models/fixed', label: 'fixed' },
    ]),
  ),
  ask: vi.fn<CompareModelsServices['models']['ask']>(),
  describe: vi.fn<CompareModelsServices['models']['describe']>((directory) => {
    if (directory === '/models/gone') throw new TatokError('model-missing', 'There is no model.');
    return Promise.resolve({ ...(directory === '/models/fixed' ? fixed : tinyModel), directory });
  }),
};
const configuration = {
  read: () => ({
    choice: { directory: '/models/tiny', providers: ['cpu'] },
    filter: { lossRate: 0.3 },
    cropMode: 'centre' as const,
    cudaLibraryPath: undefined,
    maxMegapixels: 100,
    stepLimitMs: undefined,
  }),
};
let run: (...args: unknown[]) => Promise<void>;

beforeEach(() => {
  open.mockReset();
  vi.mocked(vscode.window.showQuickPick).mockReset();
  vi.mocked(vscode.window.showErrorMessage).mockReset();
  vi.mocked(vscode.commands.registerCommand).mockImplementation((_, callback) => {
    run = callback as typeof run;
    return { dispose: () => undefined };
  });
  registerCompareModels({ tables: { open }, models, configuration, inspectors: { active: undefined } });
});

/** Takes the items with these labels in the next list. */
function pick(...labels: string[]): void {
  vi.mocked(vscode.window.showQuickPick).mockImplementationOnce((async (items: readonly { label: string }[]) =>
    items.filter(({ label }) => labels.includes(label))) as never);
}

const rows = () =>
  open.mock.calls[0]?.[0].systems.map(({ model, settings }) => [model, settings.lossRate, settings.ranking]);

describe('Compare Models…', () => {
  it('is every model with every ranking and ε that was chosen; one that drops nothing is one row', async () => {
    pick('tiny', 'fixed');
    pick('By entropy', 'By distortion');
    pick('ε as the settings say', 'ε = 0.8');
    await run(cat, [cat, dog]);
    expect(open.mock.calls[0]?.[0].images).toEqual([cat, dog]);
    expect(rows()).toEqual([
      ['/models/tiny', 0.3, 'entropy'],
      ['/models/tiny', 0.8, 'entropy'],
      ['/models/tiny', 0.3, 'distortion'],
      ['/models/tiny', 0.8, 'distortion'],
      ['/models/fixed', 0, 'entropy'],
    ]);
  });

  it('takes its arguments from another extension, and asks for nothing', async () => {
    const images = [cat.toString()];
    await run({ images, models: ['/models/tiny'], settings: [{ lossRate: 0.1 }, { lossRate: 0.9 }] });
    expect(rows()?.map(([, lossRate]) => lossRate)).toEqual([0.1, 0.9]);
    expect(open.mock.calls[0]?.[0].images.map(String)).toEqual(images);
    expect(vscode.window.showQuickPick).not.toHaveBeenCalled();
  });

  it('says what is wrong with a model, and opens nothing', async () => {
    await run({ images: [cat.toString()], models: ['/models/gone'], settings: [{}] });
    expect(open).not.toHaveBeenCalled();
    expect(vscode.window.showErrorMessage).toHaveBeenCalledWith('There is no model.');
  });

  it.each([[[]], [[['tiny']]], [[['tiny'], ['By entropy']]]])(
    'does nothing when %j is all that is chosen',
    async (lists) => {
      for (const labels of lists) pick(...labels);
      await run(cat, [cat]);
      expect(open).not.toHaveBeenCalled();
    },
  );
});
