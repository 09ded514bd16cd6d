/** The inspector as tests read and work it. */
import type { FrameLocator, Locator } from 'playwright-core';
import sharp from 'sharp';

/** Pixels as the user sees them. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** width·height·3 sRGB bytes. */
  readonly rgb: Uint8Array;
}

/** Waits until nothing is computed any more. */
export async function settled(inspector: FrameLocator, timeout = 60_000): Promise<void> {
  await inspector.locator('[data-testid="status"][data-state="ready"]').waitFor({ timeout });
}

export async function chooseView(inspector: FrameLocator, view: string): Promise<void> {
  await press(inspector, 'view', view);
}

export async function chooseOverlay(inspector: FrameLocator, overlay: string): Promise<void> {
  await press(inspector, 'overlay', overlay);
}

/** One of some choices, which stand side by side or, where there is no room for that, in a list to be opened. */
async function press(inspector: FrameLocator, name: string, choice: string): Promise<void> {
  const list = inspector.getByTestId(name);
  if ((await list.count()) > 0) await list.click();
  await inspector.getByTestId(`${name}-${choice}`).click();
}

/** Reads the picture from the canvas' own memory, after the next repaint. */
export async function readCanvas(inspector: FrameLocator): Promise<Pixels> {
  const { width, height, data } = await inspector.getByTestId('canvas').evaluate(async (element) => {
    if (!(element instanceof HTMLCanvasElement)) throw new Error('not a canvas');
    const repaint = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await repaint();
    await repaint();
    return { width: element.width, height: element.height, data: element.toDataURL('image/png') };
  });
  const png = Buffer.from(data.slice(data.indexOf(',') + 1), 'base64');
  return { width, height, rgb: await sharp(png).removeAlpha().raw().toBuffer() };
}

/** Mean absolute difference of two pictures of one size, in levels of 255. */
export function difference(a: Pixels, b: Pixels): number {
  if (a.width !== b.width || a.height !== b.height) return 255;
  let sum = 0;
  for (const [index, value] of a.rgb.entries()) sum += Math.abs(value - (b.rgb[index] ?? 0));
  return sum / a.rgb.length;
}

/** How many clearly different colours a picture has, in steps of 16 levels per channel. */
export function colours({ rgb }: Pixels): number {
  const seen = new Set<number>();
  for (let i = 0; i + 2 < rgb.length; i += 3) {
    seen.add((((rgb[i] ?? 0) >> 4) << 8) | (((rgb[i + 1] ?? 0) >> 4) << 4) | ((rgb[i + 2] ?? 0) >> 4));
  }
  return seen.size;
}

export async function numberOf(locator: Locator): Promise<number> {
  return Number.parseFloat((await locator.textContent()) ?? '');
}

/** Drags the thumb of a range input with the mouse to `fraction` of its track; `held` runs before the button is let go. */
export async function dragRange(range: Locator, fraction: number, held?: () => Promise<void>): Promise<void> {
  const box = await range.boundingBox();
  if (box === null) throw new Error('The slider is not visible');
  const value = await range.evaluate((element) => (element as HTMLInputElement).valueAsNumber);
  const { low, high } = await range.evaluate((element) => {
    const { min, max } = element as HTMLInputElement;
    return { low: Number(min), high: Number(max) };
  });
  const thumb = 16;
  const at = (share: number) => box.x + thumb / 2 + share * (box.width - thumb);
  const middle = box.y + box.height / 2;
  const { mouse } = range.page();
  await mouse.move(at((value - low) / (high - low)), middle);
  await mouse.down();
  await mouse.move(at(fraction), middle, { steps: 12 });
  await held?.();
  await mouse.up();
}
