/** *TaTok: Set Up CUDA…* as hands work it. */
import type { Locator, Page } from 'playwright-core';
import { findDriver, thisSystem } from '../../src/cuda/system';
import { librariesPlaces } from '../../src/cuda/places';
import { runCommand } from './vscode';

const command = 'TaTok: Set Up CUDA…';

export const providerLibraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'] as const;

/** True if this machine has NVIDIA's driver, as the extension looks for it. */
export async function driverIsHere(): Promise<boolean> {
  const { library } = await findDriver(thisSystem, await librariesPlaces({}, thisSystem), false);
  return library !== undefined;
}

/** Lines of the list. */
export const lines = (page: Page) => page.locator('.quick-input-list').getByRole('option');

export const line = (page: Page, text: string) => lines(page).filter({ hasText: text });

export const message = (page: Page) => page.locator('.notification-toast');

export const dialog = (page: Page) => page.locator('.monaco-dialog-box');

/** Opens the list and waits for its lines: at first it is empty, while the machine is looked at. */
export async function openList(page: Page): Promise<void> {
  await runCommand(page, command);
  await line(page, 'Look again').waitFor();
}

/** Presses a button of a message until the message goes: VS Code lays messages out anew as they come and go, perhaps under the mouse. */
export async function press(toast: Locator, name: string): Promise<void> {
  await toast.waitFor();
  for (let attempt = 0; await toast.isVisible(); attempt++) {
    if (attempt === 5) throw new Error(`The button "${name}" is of no effect`);
    await toast
      .getByRole('button', { name })
      .click({ timeout: 5000 })
      .catch(() => undefined);
    await toast.waitFor({ state: 'hidden', timeout: 5000 }).catch(() => undefined);
  }
}

/** Answers the dialog for files or folders, which in a browser is a box that a path is typed into; `button` takes the path. */
export async function choosePath(page: Page, path: string, button = 'Use'): Promise<void> {
  const widget = page.locator('.quick-input-widget');
  const box = widget.locator('input[type="text"]');
  const use = widget.getByRole('button', { name: button, exact: true });
  await use.waitFor();
  // When it opens, the dialog fills the box itself, at some point. It looks typed paths up, and meanwhile heeds no click.
  for (let attempt = 0; await use.isVisible(); attempt++) {
    if (attempt === 15) throw new Error(`The dialog does not take ${path}`);
    await box.fill(path);
    await page.waitForTimeout(600);
    if ((await box.inputValue()) === path) await use.click({ timeout: 1000 }).catch(() => undefined);
    await use.waitFor({ state: 'hidden', timeout: 1000 }).catch(() => undefined);
  }
}

/** Runs *TaTok: Show Environment* and returns the report that it copies. */
export async function environmentReport(page: Page): Promise<string> {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await runCommand(page, 'TaTok: Show Environment');
  await message(page).filter({ hasText: 'The TaTok environment report was copied.' }).waitFor({ timeout: 60_000 });
  return page.evaluate(() => navigator.clipboard.readText());
}

/** VS Code shows no more than three messages within 0.8 s, and progress is one too: hands are slower than that. */
export const messagesPauseMs = 1000;

/** Closes the messages shown, before the next is awaited. */
export async function clearMessages(page: Page): Promise<void> {
  await runCommand(page, 'Notifications: Clear All Notifications');
  await page.waitForTimeout(messagesPauseMs);
}

/** True if all of a message can be read: VS Code cuts those without a button at the end of their first line. */
export async function hasEveryPart(toast: Locator): Promise<boolean> {
  return toast
    .locator('.notification-list-item-message')
    .first()
    .evaluate(
      (element) => element.scrollWidth <= element.clientWidth && element.scrollHeight <= element.clientHeight + 1,
    );
}
