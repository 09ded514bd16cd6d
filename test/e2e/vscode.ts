/** A real VS Code with the packed extension installed, and how a user's hands move in it. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type FrameLocator, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { chromiumArguments, chromiumPath } from '../../scripts/lib/chromium.mjs';
import { fetchCodeServer, startCodeServer } from '../../scripts/lib/codeServer.mjs';
import { packedExtension } from '../packaging/vsix';

const samples = join(import.meta.dirname, '../../media/samples');

/** For tests to which it is of no matter how patches are ranked: the default, by distortion, runs the models many times a picture. */
export const quickRanking = { 'tatok.ranking': 'entropy' };

export interface VSCodeOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** VSIX file of the extension; absent: as it is packed. */
  readonly vsix?: string;
  /** VSIX files of more extensions to install. */
  readonly extensions?: readonly string[];
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly deviceScaleFactor?: number;
  /** Changes the folder before it is opened. */
  readonly prepare?: (folder: string) => Promise<void>;
}

export interface VSCode extends AsyncDisposable {
  readonly page: Page;
  /** The opened folder: a copy of the sample photographs that a test may change. */
  readonly folder: string;
  /** Replaces the settings of the machine, where paths on it belong. */
  configure(settings: Readonly<Record<string, unknown>>): Promise<void>;
}

/** Starts VS Code on a copy of the sample photographs and opens it in Chromium. */
export async function startVSCode({
  settings = {},
  vsix,
  extensions = [],
  viewport = { width: 1400, height: 900 },
  deviceScaleFactor = 1,
  prepare,
}: VSCodeOptions = {}): Promise<VSCode> {
  const codeServer = await fetchCodeServer();
  const extension = vsix ?? (await packedExtension());
  // Short: sockets below it must stay under 108 characters.
  const directory = await mkdtemp(join(tmpdir(), 'tt-'));
  const folder = join(directory, 'photographs');
  const home = join(directory, 'home');
  await mkdir(home);
  await cp(samples, folder, { recursive: true });
  await prepare?.(folder);
  const server = await startCodeServer(codeServer, {
    directory,
    extensions: [extension, ...extensions],
    // Hovers cover the row below; everything else that moves is off for steady clicks and pictures.
    settings: {
      'workbench.hover.delay': 600_000,
      'workbench.reduceMotion': 'on',
      'workbench.tips.enabled': false,
      'window.commandCenter': false,
      'workbench.layoutControl.enabled': false,
      ...settings,
    },
    env: { HOME: home, TMPDIR: directory },
  });
  const browser = await chromium.launch({ executablePath: await chromiumPath(), args: chromiumArguments });
  const page = await browser.newPage({ viewport, deviceScaleFactor });
  await page.goto(`${server.address}/?folder=${encodeURIComponent(folder)}`);
  await page.locator('.explorer-folders-view').getByRole('treeitem').first().waitFor({ timeout: 60_000 });
  return {
    page,
    folder,
    configure: async (machine) => {
      await mkdir(join(directory, 'user-data/Machine'), { recursive: true });
      await writeFile(join(directory, 'user-data/Machine/settings.json'), JSON.stringify(machine));
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await server.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 500 });
    },
  };
}

interface Selection {
  /** Another file that is selected too. */
  readonly first?: string;
}

/** Right-clicks a file in the Explorer and chooses an item of its context menu. */
export async function chooseInExplorer(
  page: Page,
  file: string,
  item: string,
  selection: Selection = {},
): Promise<void> {
  const entry = await openMenuInExplorer(page, file, item, selection);
  // A click within about 100 ms of the menu's opening is ignored.
  await entry.click({ delay: 250 });
  await entry.waitFor({ state: 'hidden' });
}

/** Opens the context menu of a file in the Explorer, with an item that it is to have. */
export async function openMenuInExplorer(
  page: Page,
  file: string,
  item: string,
  { first }: Selection = {},
): Promise<Locator> {
  const row = page.locator('.explorer-folders-view').getByRole('treeitem', { name: file });
  const entry = page.getByRole('menuitem', { name: item, exact: true });
  // A menu that opens before the extension's contributions have arrived never gains them.
  for (let attempt = 0; ; attempt++) {
    if (first !== undefined) {
      await page.locator('.explorer-folders-view').getByRole('treeitem', { name: first }).click();
      await row.click({ modifiers: ['ControlOrMeta'] });
    }
    await row.click({ button: 'right' });
    if (await appears(entry, 2000)) return entry;
    if (attempt === 15) throw new Error(`The context menu of ${file} has no "${item}"`);
    await page.keyboard.press('Escape');
  }
}

function appears(locator: Locator, timeout: number): Promise<boolean> {
  return succeeds(locator.waitFor({ timeout }));
}

function succeeds(action: Promise<void>): Promise<boolean> {
  return action.then(
    () => true,
    () => false,
  );
}

/** Opens a file as a double click in the Explorer does: in VS Code's own editor, to stay. */
export async function openFromExplorer(page: Page, file: string): Promise<void> {
  await page.locator('.explorer-folders-view').getByRole('treeitem', { name: file }).dblclick();
  await page.getByRole('tab', { name: file }).waitFor();
}

/** Runs a command by its title in the palette. */
export async function runCommand(page: Page, title: string): Promise<void> {
  await findCommand(page, title);
  await page.keyboard.press('Enter');
}

/** Opens the palette at a command, and leaves it open. @returns what the palette lists. */
export async function findCommand(page: Page, title: string): Promise<Locator> {
  const list = page.locator('.quick-input-list');
  const entry = list.getByRole('option', { name: title }).first();
  const input = page.locator('.quick-input-widget input[type="text"]');
  // Like menus, a palette that opens before a command may be used never gains it; a dialog that is still closing takes the palette along.
  for (let attempt = 0; ; attempt++) {
    await page.keyboard.press('F1');
    if ((await succeeds(input.fill(`>${title}`, { timeout: 2000 }))) && (await appears(entry, 2000))) return list;
    if (attempt === 15) throw new Error(`The palette has no "${title}"`);
    await page.keyboard.press('Escape');
  }
}

/** Runs a command that asks by lists, and answers them. A dialog that is still closing takes a list along that has just opened. */
export async function runCommandWith(page: Page, title: string, ...answers: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 4; attempt++) {
    await runCommand(page, title);
    let answered = 0;
    for (const answer of answers) {
      const option = page.locator('.quick-input-list').getByRole('option', { name: answer });
      if (!(await succeeds(option.click({ timeout: 10_000 })))) break;
      answered++;
    }
    if (answered === answers.length) return;
    await page.keyboard.press('Escape');
  }
  throw new Error(`"${title}" was not answered by ${answers.join(', ')}`);
}

/** Reloads the window by VS Code's own command, which first writes down what the window is to come back with. */
export async function reloadWindow(page: Page): Promise<void> {
  const loaded = page.waitForEvent('load');
  await runCommand(page, 'Developer: Reload Window');
  await loaded;
}

const webviews = 'iframe.webview.ready';
const content = 'iframe#active-frame';

/** The page of the only editor that is shown. */
export function inspectorOf(page: Page): FrameLocator {
  return page.frameLocator(webviews).frameLocator(content);
}

/** Names of the images that the shown editors inspect; an editor whose page is still loading has none. */
export async function imagesShown(page: Page): Promise<(string | null)[]> {
  const frames = page.locator(webviews);
  const titles = Array.from({ length: await frames.count() }, (_, i) =>
    frames.nth(i).contentFrame().frameLocator(content).locator('h1').textContent({ timeout: 1000 }),
  );
  return Promise.all(titles.map((title) => title.catch(() => null)));
}

/** The pages of two editors side by side. */
export async function inspectorsOf(page: Page): Promise<{ left: FrameLocator; right: FrameLocator }> {
  const frames = page.locator(webviews);
  await expect.poll(() => frames.count(), { timeout: 60_000 }).toBe(2);
  const [first, second] = [frames.nth(0), frames.nth(1)];
  const x = async (frame: Locator) => (await frame.boundingBox())?.x ?? 0;
  // VS Code keeps webviews outside of their editors, in the order in which they were made.
  const [left, right] = (await x(first)) < (await x(second)) ? [first, second] : [second, first];
  return { left: left.contentFrame().frameLocator(content), right: right.contentFrame().frameLocator(content) };
}
