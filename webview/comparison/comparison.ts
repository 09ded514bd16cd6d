import { computed, signal, type ReadonlySignal, type Signal, effect } from '@preact/signals';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import * as z from 'zod/mini';
import { alignedCamera, alignedPatch, type PatchedPicture } from '../canvas/alignment';
import type { Services } from '../state/context';
import type { Inspector } from '../state/inspector';
import { shownGrid } from '../../src/method/patch';
import type { Grid } from '../../src/method/types';
import { offeredOverlays, readViewState, type ViewState } from '../state/viewState';

/** Kept patches of two sides with one grid. */
export interface KeptSets {
  readonly both: number;
  readonly leftOnly: number;
  readonly rightOnly: number;
}

/** Two tokenizations in one page: what they share, where they stand, and how they differ. */
export class Comparison {
  readonly layout: Signal<ComparisonLayout>;
  readonly swapped: Signal<boolean>;
  private readonly chosenLink: Signal<boolean | undefined>;

  constructor(
    private readonly a: Services,
    private readonly b: Services,
    stored: ComparisonState,
  ) {
    this.layout = signal(stored.layout);
    this.swapped = signal(stored.swapped);
    this.chosenLink = signal(stored.linked);
    link(a.inspector.lossRate, b.inspector.lossRate, this.linked);
    link(a.inspector.focused, b.inspector.focused, this.sameGrid);
    link(a.inspector.pinned, b.inspector.pinned, this.sameGrid);
    this.align();
    effect(() => {
      // An overlay that one side alone has compares nothing.
      for (const [side, peer] of [
        [a, b],
        [b, a],
      ] as const) {
        const model = peer.inspector.picture.value?.model;
        side.inspector.peerOverlays.value = model && offeredOverlays(model);
      }
    });
  }

  /** Both sides show one part of the photograph, and speak of one place of it; pictures of two photographs move alike. */
  private align(): void {
    const { a, b } = this;
    const always = signal(true);
    const pictures = (): readonly [PatchedPicture, PatchedPicture] | undefined => {
      const [first, second] = [a.inspector.picture.peek(), b.inspector.picture.peek()];
      return first && second && this.samePhotograph.peek() ? [first, second] : undefined;
    };
    linkThrough(a.inspector.camera, b.inspector.camera, always, (camera, towards) => {
      const both = pictures();
      if (both === undefined) return camera;
      const [first, second] = towards === 'second' ? both : [both[1], both[0]];
      return alignedCamera(camera, first.image, second.image);
    });
    const otherGrids = computed(() => this.samePhotograph.value && !this.sameGrid.value);
    linkThrough(a.inspector.focused, b.inspector.focused, otherGrids, (patch, towards) => {
      const both = pictures();
      if (both === undefined || patch === undefined) return undefined;
      const [first, second] = towards === 'second' ? both : [both[1], both[0]];
      return alignedPatch(patch, first, second);
    });
    linkThrough(a.inspector.pinned, b.inspector.pinned, otherGrids, (pinned) => pinned);
  }

  readonly left: ReadonlySignal<Services> = computed(() => (this.swapped.value ? this.b : this.a));
  readonly right: ReadonlySignal<Services> = computed(() => (this.swapped.value ? this.a : this.b));

  readonly tokenized: ReadonlySignal<boolean> = computed(
    () => this.a.inspector.tokenization.value !== undefined && this.b.inspector.tokenization.value !== undefined,
  );

  /** True if a patch of one side is the patch of the same index of the other. */
  readonly sameGrid: ReadonlySignal<boolean> = computed(() => {
    const [a, b] = [gridOf(this.a), gridOf(this.b)];
    return a !== undefined && a.rows === b?.rows && a.columns === b.columns && a.step === b.step;
  });

  /** True if both pictures are parts of one photograph. */
  readonly samePhotograph: ReadonlySignal<boolean> = computed(() => {
    const [a, b] = [this.a.inspector, this.b.inspector];
    const [first, second] = [a.picture.value?.image, b.picture.value?.image];
    return (
      a.document.value !== undefined &&
      a.document.value.uri === b.document.value?.uri &&
      first !== undefined &&
      first.sourceWidth === second?.sourceWidth &&
      first.sourceHeight === second.sourceHeight
    );
  });

  /** True if both models can drop tokens: otherwise there is no second ε and no second kept set. */
  readonly bothFilter: ReadonlySignal<boolean> = computed(
    () => this.a.inspector.rates.value && this.b.inspector.rates.value,
  );

  /** True if both sides have one ε. */
  readonly linked: ReadonlySignal<boolean> = computed(
    () => this.tokenized.value && this.bothFilter.value && (this.chosenLink.value ?? false),
  );

  /** Called once both sides are there: sides that begin with one ε stay together. */
  begin(): void {
    if (!this.bothFilter.peek()) return;
    this.chosenLink.value ??= this.a.inspector.lossRate.peek() === this.b.inspector.lossRate.peek();
  }

  setLinked(linked: boolean): void {
    // The left side leads.
    if (linked) this.right.peek().inspector.lossRate.value = this.left.peek().inspector.lossRate.peek();
    this.chosenLink.value = linked;
  }

  swap(): void {
    this.swapped.value = !this.swapped.value;
  }

  readonly keptSets: ReadonlySignal<KeptSets | undefined> = computed(() => {
    const left = this.left.value.inspector.selected.value?.keep;
    const right = this.right.value.inspector.selected.value?.keep;
    if (
      !this.bothFilter.value ||
      !this.sameGrid.value ||
      left?.length !== right?.length ||
      left === undefined ||
      right === undefined
    ) {
      return undefined;
    }
    const count = (which: (l: number, r: number) => boolean): number =>
      left.reduce((sum, kept, patch) => sum + (which(kept, right[patch] ?? 0) ? 1 : 0), 0);
    return {
      both: count((l, r) => l === 1 && r === 1),
      leftOnly: count((l, r) => l === 1 && r === 0),
      rightOnly: count((l, r) => l === 0 && r === 1),
    };
  });

  /** State for `vscode.setState`; undefined until both documents are known. */
  readonly state: ReadonlySignal<ComparisonState | undefined> = computed(() => {
    const [a, b] = [stateOf(this.a.inspector), stateOf(this.b.inspector)];
    if (a === undefined || b === undefined) return undefined;
    return { a, b, layout: this.layout.value, swapped: this.swapped.value, linked: this.chosenLink.value };
  });
}

/** The visible part of a side's grid, and the step from one row of indices to the next. */
function gridOf({ inspector }: Services): (Grid & { readonly step: number }) | undefined {
  const tokenization = inspector.tokenization.value;
  if (tokenization === undefined) return undefined;
  const { image, model } = tokenization;
  return { ...shownGrid(image, model), step: image.grid.columns };
}

function stateOf({ viewState, document }: Inspector): SideState | undefined {
  return viewState.value && { ...viewState.value, model: document.value?.model };
}

export const ComparisonContext = createContext<Comparison | undefined>(undefined);

export function useComparison(): Comparison {
  const comparison = useContext(ComparisonContext);
  if (comparison === undefined) throw new Error('no comparison provided');
  return comparison;
}

export const layouts = ['beside', 'swipe'] as const;
export type ComparisonLayout = (typeof layouts)[number];

/** State of the comparison itself; a field that cannot be read falls back on its own. */
const schema = z.object({
  layout: z.catch(z.enum(layouts), 'beside'),
  swapped: z.catch(z.boolean(), false),
  /** undefined: whether both sides begin with the same ε decides. */
  linked: z.catch(z.optional(z.boolean()), undefined),
});

/** State that survives hiding the tab and reloading the window; the host reads which documents are compared. */
export type ComparisonState = z.infer<typeof schema> & { readonly a: SideState; readonly b: SideState };

export type SideState = ViewState & {
  /** The chosen model, as the host named it. */
  readonly model?: string | undefined;
};

export function readComparisonState(stored: unknown): ComparisonState {
  const result = schema.safeParse(stored);
  const side = (name: 'a' | 'b'): ViewState => {
    const value: unknown = typeof stored === 'object' && stored !== null ? Reflect.get(stored, name) : undefined;
    return readViewState(value);
  };
  return { ...(result.success ? result.data : schema.parse({})), a: side('a'), b: side('b') };
}

/** Has two signals stand for one thing, each in its own terms, while `linked`: the one that changed leads. */
export function linkThrough<T>(
  first: Signal<T>,
  second: Signal<T>,
  linked: ReadonlySignal<boolean>,
  mapped: (value: T, towards: 'first' | 'second') => T,
): void {
  let [formerFirst, formerSecond] = [first.peek(), second.peek()];
  effect(() => {
    const [a, b] = [first.value, second.value];
    if (linked.value) {
      if (a !== formerFirst) second.value = mapped(a, 'second');
      else if (b !== formerSecond) first.value = mapped(b, 'first');
    }
    [formerFirst, formerSecond] = [first.peek(), second.peek()];
  });
}

/** Keeps two signals equal while `linked`: the one that changed leads, the first when they come to be linked. */
export function link<T>(first: Signal<T>, second: Signal<T>, linked: ReadonlySignal<boolean>): void {
  let [formerFirst, formerSecond] = [first.peek(), second.peek()];
  effect(() => {
    const [a, b] = [first.value, second.value];
    if (linked.value && a !== b) {
      if (b !== formerSecond && a === formerFirst) first.value = b;
      else second.value = a;
    }
    [formerFirst, formerSecond] = [first.peek(), second.peek()];
  });
}
