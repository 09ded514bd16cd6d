/** A folder that nobody trusts, with all that it could bring along. */
import { cp, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import manifest from '../../package.json';
import { sharedLibrary } from '../sharedLibrary';
import { clearMessages, environmentReport, providerLibraries } from './cuda';
import { settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, findCommand, inspectorOf, runCommand } from './vscode';

const bundle = join(import.meta.dirname, '../fixtures/bundles/tiny');
const environment = '.venv/lib/python3.12/site-packages/nvidia';
const needed = ['libcublas.so.13', 'libcublasLt.so.13', 'libcudart.so.13', 'libcurand.so.10'];
const cudaLibraries = [...needed, 'libcudnn.so.9'];

/** A value of its own for every setting there is. */
const hostileSettings = (folder: string): Readonly<Record<string, unknown>> => ({
  'tatok.model': join(folder, 'bundle'),
  'tatok.providers': ['webgpu', 'cpu'],
  'tatok.cuda.device': 7,
  'tatok.cuda.memoryLimit': 1e9,
  'tatok.cuda.libraryPath': join(folder, 'provider'),
  'tatok.maxMegapixels': 1e9,
  'tatok.timeLimit': 1e9,
  'tatok.lossRate': 0.5,
  'tatok.edgePriority': 1,
  'tatok.budget': 'image',
  'tatok.ranking': 'entropy',
  'tatok.rankingRounds': 64,
  'tatok.conditioning': 'global',
  'tatok.cropMode': 'fit',
});

async function writeAll(folder: string, names: readonly string[], bytes: Uint8Array | string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of names) await writeFile(join(folder, name), bytes);
}

async function bringAlong(folder: string): Promise<void> {
  await writeAll(join(folder, '.vscode'), ['settings.json'], JSON.stringify(hostileSettings(folder)));
  await cp(bundle, join(folder, 'bundle'), { recursive: true });
  await writeAll(join(folder, environment, 'cu13/lib'), [...cudaLibraries, 'libcuda.so.1'], sharedLibrary());
  await writeAll(join(folder, 'provider'), providerLibraries, sharedLibrary());
}

describeInVSCode('A folder that is not trusted, in VS Code', () => {
  const vscode = useVSCode({
    settings: {
      'security.workspace.trust.enabled': true,
      'security.workspace.trust.startupPrompt': 'never',
      'security.workspace.trust.banner': 'never',
      // Over the Explorer, otherwise.
      'workbench.editor.useModal': 'off',
      'tatok.maxMegapixels': 0.3,
      'tatok.providers': ['cuda', 'cpu'],
    },
    prepare: bringAlong,
  });

  /** Files that the loader of the inference process was led to, and the folders of its path. */
  async function ledTo(): Promise<string[]> {
    const home = join(dirname(vscode.folder), 'home');
    const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const variables = await Promise.all(
      processes.map((id) => readFile(join('/proc', id, 'environ'), 'utf8').catch(() => '')),
    );
    const paths = variables
      .map((text) => new Map(text.split('\0').map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)])))
      .filter((values) => values.get('HOME') === home && values.has('TATOK_CUDA_DIRECTORY'))
      .flatMap((values) => values.get('LD_LIBRARY_PATH')?.split(':') ?? []);
    const links = await Promise.all(
      paths.map(async (path) => {
        const names = await readdir(path).catch(() => []);
        return Promise.all(names.map((name) => readlink(join(path, name)).catch(() => join(path, name))));
      }),
    );
    return [...paths, ...links.flat()];
  }

  it('brings a value for every setting', () => {
    expect(Object.keys(hostileSettings(vscode.folder)).sort()).toEqual(
      Object.keys(manifest.contributes.configuration.properties).sort(),
    );
  });

  it('lifts no limit, and chooses neither model, provider nor library', async () => {
    const { page, folder } = vscode;
    const inspector = inspectorOf(page);
    const mine = join(folder, '../mine');
    await writeAll(mine, providerLibraries, sharedLibrary({ needed }));
    await vscode.configure({ 'tatok.cuda.libraryPath': mine });
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await inspector.getByText('The image has 768×512 pixels, more than the limit of 0.3 megapixels.').waitFor();
    await inspector.getByTestId('action-openAnyway').click();
    await settled(inspector);
    const led = await ledTo();
    expect(led).toContain(join(mine, 'libonnxruntime_providers_cuda.so'));
    expect(led.filter((path) => path.startsWith(folder))).toEqual([]);
    const report = await environmentReport(page);
    expect(report).toContain('- workspace not trusted\n- providers to try: `cuda, cpu`\n- model `tatok-s-256 ');
    expect(report).toContain(`- CUDA provider of ONNX Runtime 1.29.0: \`${mine}`);
    expect(report).not.toContain(folder);
    await clearMessages(page);
    await runCommand(page, 'View: Close All Editors');
  });

  it('runs no Python: the palette has no import of tokenizers until it is trusted', async () => {
    const { page } = vscode;
    // Every command of the extension begins so.
    const commands = await findCommand(page, 'TaTok: ');
    expect(await commands.getByRole('option', { name: 'Tokenize Image' }).count()).toBeGreaterThan(0);
    expect(await commands.getByRole('option', { name: 'Import Tokenizer' }).count()).toBe(0);
    await page.keyboard.press('Escape');
  });

  it('has its way once it is trusted', async () => {
    const { page, folder } = vscode;
    await runCommand(page, 'Workspaces: Manage Workspace Trust');
    const editor = page.locator('.workspace-trust-editor');
    await editor.getByRole('button', { name: 'Trust', exact: true }).click();
    await editor.locator('.workspace-trust-trusted').first().waitFor();
    await chooseInExplorer(page, 'kodim05.png', 'Tokenize Image');
    await settled(inspectorOf(page));
    await findCommand(page, 'TaTok: Import Tokenizer');
    await page.keyboard.press('Escape');
    expect((await ledTo()).filter((path) => path.startsWith(folder))).not.toEqual([]);
    const report = await environmentReport(page);
    expect(report).toContain('- workspace trusted\n- providers to try: `webgpu, cpu`\n- model `tiny ');
    for (const name of cudaLibraries) expect(report).toContain(`${join(folder, environment)}/cu13/lib/${name}`);
    expect(report, 'a setting of the machine').not.toContain(join(folder, 'provider'));
  });
});
