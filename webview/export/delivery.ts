import { effect, signal, type Signal } from '@preact/signals';
import { ResponseError } from 'vscode-jsonrpc/browser';
import type { Inspector } from '../state/inspector';
import type { Failure } from '../../src/protocol/document';

/** Confirmations are shown for so long. */
const confirmationMs = 4000;

/** Tells what became of an export. */
export class Delivery {
  /** One sentence on the last export, shown for a moment. */
  readonly confirmation = signal('');
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly notice: Signal<Failure | undefined>) {}

  /** @param work answers the confirmation, or undefined when the user changed their mind. */
  async attempt(failed: string, work: () => Promise<string | undefined>): Promise<void> {
    try {
      const confirmation = await work();
      if (confirmation !== undefined) this.say(confirmation);
    } catch (error) {
      const reason = error instanceof ResponseError || error instanceof Error ? error.message : String(error);
      this.notice.value = { message: `${failed}: ${reason}`, actions: [] };
    }
  }

  private say(text: string): void {
    clearTimeout(this.timer);
    this.confirmation.value = text;
    this.timer = setTimeout(() => (this.confirmation.value = ''), confirmationMs);
  }
}

/** Resolves when the reconstruction is that of the settings shown; a figure must not mix the two. */
export function fresh({ stale, stopped, phase, notice }: Inspector): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = effect(() => {
      const failure = phase.value.kind === 'failed' ? phase.value.failure : notice.value;
      if (stale.value && !stopped.value && failure === undefined) return;
      // The effect may run before it has a name.
      queueMicrotask(() => stop());
      if (stale.value) reject(new Error('the reconstruction is not that of the settings shown.'));
      else resolve();
    });
  });
}

/** Puts a picture on the clipboard. */
export async function copyPicture(draw: () => Promise<Blob>): Promise<void> {
  await focused();
  const png = draw();
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
  } catch (error) {
    await png;
    throw new Error('the clipboard takes no pictures here; export the view as PNG instead.', { cause: error });
  }
}

/** Only a page with the focus may use the clipboard; one that a command asks to copy gets it a moment later. */
async function focused(): Promise<void> {
  window.focus();
  for (let waited = 0; waited < 1000 && !document.hasFocus(); waited += 50) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
