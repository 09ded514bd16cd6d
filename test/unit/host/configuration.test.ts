import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import { Configuration } from '../../../src/host/configuration';
import type { FilterSettings } from '../../../src/method/types';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const image = vscode.Uri.parse('file:///project/photos/cat.png');
const filter: FilterSettings = { lossRate: 0.3, edgePriority: 0, budget: 'reference', ranking: 'entropy' };

/** Settings of a window: the effective values, and those a workspace folder sets itself. */
function configure(
  values: Record<string, unknown>,
  folderValues: Record<string, unknown> = {},
  userValues: Record<string, unknown> = {},
) {
  const update = vi.fn().mockResolvedValue(undefined);
  const inspect = (key: string) => ({
    key,
    workspaceFolderValue: folderValues[key],
    globalValue: userValues[key],
  });
  vi.spyOn(vscode.workspace, 'getConfiguration').mockReturnValue({
    get: (key: string) => values[key],
    inspect,
    update,
  } as unknown as vscode.WorkspaceConfiguration);
  return update;
}

function openWorkspace(open: boolean) {
  const folder = { uri: vscode.Uri.parse('file:///project'), name: 'work', index: 0 };
  vi.spyOn(vscode.workspace, 'workspaceFolders', 'get').mockReturnValue(open ? [folder] : undefined);
  vi.spyOn(vscode.workspace, 'getWorkspaceFolder').mockReturnValue(open ? folder : undefined);
}

describe('Configuration', () => {
  const warn = vi.fn();
  let configuration: Configuration;

  beforeEach(() => {
    warn.mockReset();
    vi.spyOn(vscode.workspace, 'onDidChangeConfiguration').mockReturnValue({ dispose: () => undefined });
    Object.assign(vscode.workspace, {
      isTrusted: true,
      onDidGrantWorkspaceTrust: () => ({ dispose: () => undefined }),
    });
    configuration = new Configuration(vscode.Uri.parse('file:///extension/models/tatok-s-256'), {
      warn,
    } as unknown as vscode.LogOutputChannel);
  });

  it('saves only what differs, for the workspace', async () => {
    openWorkspace(true);
    const update = configure({ lossRate: 0.3, edgePriority: null, budget: 'image', ranking: 'entropy' });
    await configuration.saveFilter(filter, image);
    expect(update.mock.calls).toEqual([
      ['edgePriority', 0, vscode.ConfigurationTarget.Workspace],
      ['budget', 'reference', vscode.ConfigurationTarget.Workspace],
    ]);
  });

  it('saves for the user where no workspace is open', async () => {
    openWorkspace(false);
    const update = configure({});
    await configuration.saveFilter(filter, image);
    expect(update.mock.calls.map(([, , target]: unknown[]) => target)).toEqual(
      Array(4).fill(vscode.ConfigurationTarget.Global),
    );
  });

  it("replaces a folder's own value, which would win over the workspace's", async () => {
    openWorkspace(true);
    const update = configure({ ...filter, lossRate: 0.9 }, { lossRate: 0.9 });
    await configuration.saveFilter(filter, image);
    expect(update.mock.calls).toEqual([['lossRate', 0.3, vscode.ConfigurationTarget.WorkspaceFolder]]);
  });

  it('renames the conditioning of earlier versions to a ranking where it is set, once', async () => {
    openWorkspace(true);
    const { Global, WorkspaceFolder } = vscode.ConfigurationTarget;
    const update = configure({}, { conditioning: 'global', ranking: 'distortion' }, { conditioning: 'global' });
    await configuration.migrate();
    expect(update.mock.calls).toEqual([
      ['ranking', 'entropy', Global],
      ['conditioning', undefined, Global],
      // The folder has a ranking, which holds.
      ['conditioning', undefined, WorkspaceFolder],
    ]);
    const again = configure({ ranking: 'entropy' }, {}, { ranking: 'entropy' });
    await configuration.migrate();
    expect(again).not.toHaveBeenCalled();
  });

  it('still reads a conditioning that cannot be renamed, and says why', async () => {
    openWorkspace(false);
    const update = configure({ conditioning: 'global' }, {}, { conditioning: 'global' });
    update.mockRejectedValue(new Error('read-only'));
    await configuration.migrate();
    expect(warn.mock.lastCall?.[0]).toContain('read-only');
    expect(configuration.read(image).filter).toEqual({ ranking: 'entropy' });
  });

  it('resolves relative models in the workspace folder and reports a bad value once', () => {
    openWorkspace(true);
    configure({ model: 'bundle', lossRate: 2 });
    expect(configuration.read(image).choice.directory).toBe('/project/bundle');
    configuration.read(image);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.lastCall?.[0]).toContain('tatok.lossRate');
  });
});
