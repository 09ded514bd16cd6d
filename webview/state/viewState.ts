import type { ReadonlySignal } from '@preact/signals';
import * as z from 'zod/mini';
import { colormapNames } from '../canvas/colormaps';
import type { Camera } from '../canvas/viewport';
import type { VsCodeApi } from '../host/connection';
import { editsSchema } from '../../src/method/edits';
import { hasPart, type Part, type Parts } from '../../src/method/parts';
import { codecs } from '../../src/method/anchors';
import { filterRecordSchema, filterSchema, settingsOf } from '../../src/method/settings';
import { cropModes } from '../../src/method/types';

/** `anchor`: the reconstruction, and right of the swipe line the photograph in a common format at the same bytes. */
export const views = ['original', 'reconstruction', 'difference', 'swipe', 'anchor'] as const;
export type View = (typeof views)[number];

export const overlays = ['priority', 'entropy', 'surprisal', 'kept', 'attention', 'influence', 'none'] as const;
export type Overlay = (typeof overlays)[number];

/** The part of a model that each needs. */
const overlayParts: Partial<Record<Overlay, Part>> = {
  priority: 'patchBits',
  entropy: 'patchBits',
  surprisal: 'patchBits',
  kept: 'patchBits',
  attention: 'attention',
  influence: 'influence',
};

/** Those that there are for a model. */
export function offeredOverlays(model: Parts): Overlay[] {
  return overlays.filter((overlay) => hasPart(model, overlayParts[overlay]));
}

/** `fixed` keeps one scale for all images, so that they compare; `fit` spends every colour on this one. */
export const ranges = ['fixed', 'fit'] as const;
export type Range = (typeof ranges)[number];

/** Axes of the rate–distortion plot. */
export const rates = ['tokens', 'bits', 'bpp'] as const;
export type Rate = (typeof rates)[number];
export const distortions = ['psnr', 'ssim'] as const;
export type Distortion = (typeof distortions)[number];

const choice = z.union([z.literal('mean'), z.int().check(z.nonnegative())]);
const share = z.number().check(z.gte(0), z.lte(1));

const camera: z.ZodMiniType<Camera> = z.union([
  z.literal('fit'),
  z.object({ extent: z.number().check(z.positive()), x: z.number(), y: z.number() }),
]);

/** How the parts of the page share its room; what is undefined follows the room that there is. Lengths in CSS pixels. */
const arrangement = z.object({
  sideWidth: z.catch(z.optional(z.number().check(z.gte(160), z.lte(800))), undefined),
  stripHeight: z.catch(z.optional(z.number().check(z.gte(60), z.lte(1000))), undefined),
  /** True if the strip below the picture is open. */
  strip: z.catch(z.optional(z.boolean()), undefined),
  /** Titles of the plots that are folded. */
  folded: z.catch(z.array(z.string()), []),
});
export type Arrangement = z.infer<typeof arrangement>;

/** Earlier versions kept the ranking as `conditioning`. */
const settings = z.union([filterSchema, z.pipe(filterRecordSchema, z.transform(settingsOf))]);

/** Experiments, and what names the tokens that they were made on. */
const storedEdits = z.object({ edits: editsSchema, of: z.string() });
export type StoredEdits = Readonly<z.infer<typeof storedEdits>>;

/** State that survives hiding the tab and reloading the window. A field that cannot be read falls back on its own. */
const schema = z.object({
  uri: z.catch(z.string(), ''),
  view: z.catch(z.enum(views), 'reconstruction'),
  overlay: z.catch(z.enum(overlays), 'entropy'),
  opacity: z.catch(share, 0.55),
  colormap: z.catch(z.enum(colormapNames), 'viridis'),
  range: z.catch(z.enum(ranges), 'fixed'),
  swipe: z.catch(share, 0.5),
  camera: z.catch(camera, 'fit'),
  /** undefined: the last layer, whatever the model. */
  layer: z.catch(z.optional(choice), undefined),
  head: z.catch(choice, 'mean'),
  isolated: z.catch(z.array(z.int().check(z.nonnegative())), []),
  rate: z.catch(z.enum(rates), 'tokens'),
  distortion: z.catch(z.enum(distortions), 'psnr'),
  /** True if anchors are computed. */
  anchored: z.catch(z.boolean(), false),
  codec: z.catch(z.enum(codecs), 'webp'),
  arrangement: z.catch(arrangement, { folded: [] }),
  /** Of a data set; undefined: the first that has tokens. */
  row: z.catch(z.optional(z.int().check(z.nonnegative())), undefined),
  /** undefined: as the settings say. */
  cropMode: z.catch(z.optional(z.enum(cropModes)), undefined),
  /** undefined: as the host filtered. */
  settings: z.catch(z.optional(settings), undefined),
  /** The host's settings at that time; undefined: they hold whatever the host's are. */
  hostSettings: z.catch(z.optional(settings), undefined),
  /** undefined: there are no experiments. */
  edits: z.catch(z.optional(storedEdits), undefined),
});

export type ViewState = z.infer<typeof schema>;

export function readViewState(stored: unknown): ViewState {
  const result = schema.safeParse(stored);
  return result.success ? result.data : schema.parse({});
}

/** The state of another page, as the host carries it. */
export function readViewText(text: string): ViewState {
  try {
    return readViewState(JSON.parse(text));
  } catch {
    return readViewState(undefined);
  }
}

/** State is written at most so often, so that dragging does not flood the host. */
const saveMs = 150;

/**
 * Has VS Code keep a page's state while it is known; undefined is not kept. A change after a pause is kept at once: the page may be
 * hidden, and so thrown away, right after it.
 */
export function saveState(state: ReadonlySignal<unknown>, api: Pick<VsCodeApi, 'setState'>): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let kept: unknown;
  const isNew = (): boolean => state.peek() !== undefined && state.peek() !== kept;
  const save = (): void => {
    if (!isNew()) return;
    kept = state.peek();
    api.setState(kept);
  };
  const saveAndPause = (): void => {
    if (timer !== undefined) return;
    save();
    timer = setTimeout(() => {
      timer = undefined;
      if (isNew()) saveAndPause();
    }, saveMs);
  };
  state.subscribe(saveAndPause);
  window.addEventListener('pagehide', save);
  document.addEventListener('visibilitychange', save);
}
