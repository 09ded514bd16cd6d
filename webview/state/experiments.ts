import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import type { Marks } from '../canvas/painter';
import type { Inspector } from './inspector';
import { LatestRequest } from './latestRequest';
import type { Analyses } from '../../src/protocol/analyses';
import type { OtherTokens, Travel } from '../../src/protocol/document';
import {
  carried,
  commit,
  force,
  forceOf,
  isEdited,
  isForceable,
  isReplaceable,
  noEdits,
  ownCode,
  redo,
  replaceCodes,
  replacementOf,
  undo,
  type EditHistory,
  type Edits,
  type Force,
  type ReplaceableToken,
  type ReplacedCode,
} from '../../src/method/edits';
import { filterKeys } from '../../src/method/settings';
import { streamOf } from '../../src/method/streams';
import type { FilterSettings, Measurement, Tokens } from '../../src/method/types';

export const tools = ['inspect', 'keep', 'drop', 'free'] as const satisfies readonly ('inspect' | Force)[];

/** What a press on a patch does: it pins the patch, or forces it; with the latter a stroke forces all that it crosses. */
export type Tool = (typeof tools)[number];

/** What the experiments change, against the same settings without them. */
export interface Difference {
  readonly tokens: number;
  /** Payload and mask. */
  readonly bits: number;
  /** dB; undefined until both reconstructions are measured, or where one is identical to the picture. */
  readonly psnr: number | undefined;
}

/** Quality without experiments. */
type Plain = Pick<Measurement, 'psnr' | 'ssim'> & { readonly tokens: Tokens; readonly settings: string };

const nowhere: readonly number[] = [];

const done: Readonly<Record<Force, string>> = { keep: 'kept', drop: 'dropped', free: 'left to the filter' };

/** Everything that the user tries on the tokens: forced patches, other codes, codes that are drawn. */
export class Experiments {
  readonly tool = signal<Tool>('inspect');
  /** The last thing that was done, for all to read. */
  readonly said = signal('');
  /** A code that was copied, to be put in another token's place. */
  readonly copied = signal<number | undefined>(undefined);
  /** The image whose global tokens can be put in place of this one's. */
  readonly other = signal<OtherTokens | undefined>(undefined);
  readonly seed = signal(1);
  /** Work under way, in words. */
  readonly working = signal<string | undefined>(undefined);
  private readonly plain = signal<Plain | undefined>(undefined);
  /** True while a stroke is under way. */
  readonly stroking = signal(false);
  /** Patches of the stroke under way, and what it began with. */
  private stroke: { readonly patches: Set<number>; readonly before: EditHistory } | undefined;

  constructor(
    private readonly inspector: Inspector,
    private readonly analyses: Pick<Analyses, 'measure' | 'draw'>,
    private readonly fail: (error: unknown) => void,
    /** Has the user choose an image, and tokenizes it as this one is; null when none was chosen. */
    private readonly chooseOther: () => Promise<OtherTokens | null>,
    /** Undoes where VS Code knows the changes. @returns false where it does not. */
    private readonly travelAtHost?: (way: Travel) => boolean,
  ) {
    this.followPlain();
    effect(() => {
      // Global tokens of another model, or of other tiles, are no longer those that can be put here.
      if (inspector.tokenization.value?.model.hash !== this.other.peek()?.model) this.other.value = undefined;
    });
  }

  readonly edited: ReadonlySignal<boolean> = computed(() => isEdited(this.inspector.edits.value));

  /** True if single patches can be forced. */
  readonly forces: ReadonlySignal<boolean> = computed(() => {
    const model = this.inspector.picture.value?.model;
    return model !== undefined && isForceable(model);
  });

  /** True if codes can be drawn for dropped patches. */
  readonly draws: ReadonlySignal<boolean> = computed(() => {
    const model = this.inspector.picture.value?.model;
    if (model?.filters !== true) return false;
    return streamOf(model, 'patch')?.codebook.kind === 'fsq' && this.replaces('patch');
  });

  replaces(token: ReplaceableToken): boolean {
    const model = this.inspector.picture.value?.model;
    return model !== undefined && isReplaceable(model, token);
  }

  /** Against the same settings without experiments; undefined while there are none. */
  readonly difference: ReadonlySignal<Difference | undefined> = computed(() => {
    const { selected, filtered, reconstruction, stale, settings, tokenization } = this.inspector;
    const [now, before, plain] = [selected.value, filtered.value, this.plain.value];
    if (!this.edited.value || now === undefined || before === undefined) return undefined;
    const isCurrent =
      plain !== undefined && plain.tokens === tokenization.value?.tokens && plain.settings === nameOf(settings.value);
    const [edited, unedited] = [
      stale.value ? null : (reconstruction.value?.psnr ?? null),
      isCurrent ? plain.psnr : null,
    ];
    return {
      tokens: now.totalTokens - before.totalTokens,
      bits: now.payloadBits + now.maskBits - before.payloadBits - before.maskBits,
      psnr: edited === null || unedited === null ? undefined : edited - unedited,
    };
  });

  /** Patches that have the code of the focused one, that one left out; empty while none is focused. */
  readonly twins: ReadonlySignal<readonly number[]> = computed(() => {
    // While the pointer crosses patches of codes that are alone, nothing is painted anew for these.
    const focused = this.inspector.focused.value;
    const code = focused === undefined ? undefined : this.codeOf('patch', focused);
    const places = code === undefined ? undefined : this.placesOfCodes.value.get(code);
    return places === undefined || places.length < 2 ? nowhere : places.filter((patch) => patch !== focused);
  });

  /** What the canvas marks. */
  readonly marks: ReadonlySignal<Marks> = computed(() => {
    const { forcedKept, forcedDropped, replaced } = this.inspector.edits.value;
    return {
      kept: forcedKept,
      dropped: forcedDropped,
      replaced: replaced.flatMap(({ token, index }) => (token === 'patch' ? [index] : [])),
      twins: this.twins.value,
    };
  });

  private readonly placesOfCodes = computed(() => {
    const places = new Map<number, number[]>();
    const codes = this.inspector.decoded.value?.patchCodes;
    if (!this.replaces('patch') || !(codes instanceof Int32Array)) return places;
    codes.forEach((code, patch) => {
      if (!this.knows(patch)) return;
      const known = places.get(code);
      if (known === undefined) places.set(code, [patch]);
      else known.push(patch);
    });
    return places;
  });

  /** The code that is decoded; undefined where there is no single one. */
  codeOf(token: ReplaceableToken, at: number): number | undefined {
    const tokens = this.inspector.decoded.value;
    if (tokens === undefined || !this.replaces(token)) return undefined;
    const code = (token === 'global' ? tokens.globalCodes : tokens.patchCodes)[at];
    return typeof code === 'number' && (token === 'global' || this.knows(at)) ? code : undefined;
  }

  /** The model's own code, where it is replaced. */
  originalOf(token: ReplaceableToken, at: number): number | undefined {
    const tokens = this.inspector.tokenization.value?.tokens;
    const replaced = replacementOf(this.inspector.edits.value, token, at) !== undefined;
    return tokens && replaced ? ownCode(tokens, token, at) : undefined;
  }

  forceOf(patch: number): Force {
    return forceOf(this.inspector.edits.value, patch);
  }

  force(patches: readonly number[], to: Force): void {
    const chosen = patches.filter((patch) => to !== 'keep' || this.knows(patch));
    if (!this.forces.peek() || patches.length === 0) return;
    if (chosen.length === 0)
      this.said.value = 'The data set has no code of a patch that it drops; replace its code first';
    else this.change(force(this.inspector.edits.peek(), chosen, to), `${this.named(chosen)} ${done[to]}`);
  }

  /** True if there is a code to decode for a patch: a data set has none of those that it drops. */
  private knows(patch: number): boolean {
    const tokenization = this.inspector.tokenization.peek();
    if (tokenization?.origin?.everyCode !== false || tokenization.tokens.keep?.[patch] === 1) return true;
    return replacementOf(this.inspector.edits.peek(), 'patch', patch) !== undefined;
  }

  /** Forces a patch that the brush is on. A stroke is one change. */
  paint(patch: number, to: Force): void {
    if (!this.forces.peek() || (to === 'keep' && !this.knows(patch))) return;
    const { history } = this.inspector;
    this.stroking.value = true;
    this.stroke ??= { patches: new Set(), before: history.peek() };
    const { patches, before } = this.stroke;
    if (patches.has(patch)) return;
    patches.add(patch);
    const label = `${this.named([...patches])} ${done[to]}`;
    history.value = commit(before, force(before.present, patches, to), label);
    this.said.value = sentence(label);
  }

  endStroke(): void {
    this.stroke = undefined;
    this.stroking.value = false;
  }

  replace(codes: readonly ReplacedCode[], label: string): void {
    const tokens = this.inspector.tokenization.peek()?.tokens;
    if (tokens !== undefined) this.change(replaceCodes(this.inspector.edits.peek(), codes, tokens), label);
  }

  /** Puts a code in a token's place. */
  replaceOne(token: ReplaceableToken, at: number, code: number): void {
    const name = token === 'global' ? `global token ${at}` : this.named([at]);
    this.replace([{ token, index: at, code }], `${name} has code ${code}`);
  }

  copyCode(patch: number): void {
    const code = this.codeOf('patch', patch);
    if (code === undefined) return;
    this.copied.value = code;
    this.said.value = `Code ${code} is copied`;
  }

  pasteCode(patch: number): void {
    const code = this.copied.peek();
    if (code !== undefined && this.replaces('patch')) this.replaceOne('patch', patch, code);
    else this.said.value = 'No code is copied';
  }

  /** Leaves a patch to filter and model again. */
  restore(patch: number): void {
    const tokens = this.inspector.tokenization.peek()?.tokens;
    if (tokens === undefined) return;
    const freed = force(this.inspector.edits.peek(), [patch], 'free');
    const replaced = freed.replaced.filter(({ token, index }) => token !== 'patch' || index !== patch);
    this.change({ ...freed, replaced }, `${this.named([patch])} as the model has it`);
  }

  /** The next patch that has the same code as the focused one; undefined where there is none. */
  nextTwin(): number | undefined {
    const focused = this.inspector.focused.peek() ?? -1;
    const twins = this.twins.peek();
    const count = twins.length;
    this.said.value =
      count === 0
        ? 'No other patch has this code'
        : `${count} more ${count === 1 ? 'patch has' : 'patches have'} this code`;
    return twins.find((patch) => patch > focused) ?? twins[0];
  }

  undo(): void {
    if (this.travelAtHost?.('undo') === true) return;
    this.travel('Nothing to undo', undo, (label) => `Undone: ${label}`);
  }

  redo(): void {
    if (this.travelAtHost?.('redo') === true) return;
    this.travel('Nothing to redo', redo, (label) => `Done again: ${label}`);
  }

  /** Takes all experiments back, as one change. */
  reset(): void {
    this.change(noEdits, 'all experiments taken back');
  }

  /** Draws codes for what is dropped, which is kept with them: the file has these codes. */
  async draw(): Promise<void> {
    const settings = this.inspector.settings.peek();
    const edits = this.inspector.edits.peek();
    const seed = this.seed.peek();
    await this.attempt('drawing codes', async () => {
      const drawn = await this.analyses.draw({ settings, edits: carried(edits), seed });
      const patches = [...drawn.patches];
      const codes = patches.map((patch, i) => ({ token: 'patch' as const, index: patch, code: drawn.codes[i] ?? 0 }));
      const tokens = this.inspector.tokenization.peek()?.tokens;
      // Another experiment came first, or other tokens did.
      if (tokens === undefined || this.inspector.edits.peek() !== edits) return;
      const forced = force(edits, patches, 'keep');
      this.change(replaceCodes(forced, codes, tokens), `codes of ${this.named(patches)} drawn with seed ${seed}`);
    });
  }

  /** Has the user choose another image, whose global tokens can then be put here. */
  async choose(): Promise<void> {
    await this.attempt('tokenizing the other image', async () => {
      const chosen = await this.chooseOther();
      if (chosen === null) return;
      this.other.value = chosen;
      this.said.value = `Global tokens of ${chosen.name} can be put here`;
    });
  }

  /** Puts global tokens of the other image in place of those of the same number. @param tokens all of them when absent. */
  takeGlobals(tokens?: readonly number[]): void {
    const other = this.other.peek();
    const own = this.inspector.tokenization.peek()?.tokens.globalCodes;
    if (other === undefined || own === undefined) return;
    const which = (tokens ?? [...own.keys()]).filter((at) => at < other.globalCodes.length);
    const codes = which.map((at) => ({ token: 'global' as const, index: at, code: other.globalCodes[at] ?? 0 }));
    const name = which.length === 1 ? `global token ${which[0] ?? 0}` : `${which.length} global tokens`;
    this.replace(codes, `${name} of ${other.name}`);
  }

  private async attempt(what: string, work: () => Promise<void>): Promise<void> {
    if (this.working.peek() !== undefined) return;
    this.working.value = what;
    try {
      await work();
    } catch (error) {
      this.fail(error);
    } finally {
      this.working.value = undefined;
    }
  }

  private change(edits: Edits, label: string): void {
    const { history } = this.inspector;
    const before = history.peek();
    history.value = commit(before, edits, label);
    this.said.value = history.peek() === before ? 'Nothing changed' : sentence(label);
  }

  private travel(nothing: string, way: typeof undo, say: (label: string) => string): void {
    const { history } = this.inspector;
    const before = history.peek();
    const now = way(before);
    history.value = now;
    const label = now.past.length < before.past.length ? before.past.at(-1)?.label : before.future[0]?.label;
    this.said.value = now === before || label === undefined ? nothing : say(label);
  }

  private named(patches: readonly number[]): string {
    const columns = this.inspector.tokenization.peek()?.image.grid.columns ?? 1;
    const [only] = patches;
    if (patches.length !== 1 || only === undefined) return `${patches.length} patches`;
    return `patch (${Math.floor(only / columns)}, ${only % columns})`;
  }

  /** Quality of the same settings without experiments: that of the last reconstruction without, or measured when it is needed. */
  private followPlain(): void {
    const { inspector } = this;
    const request = new LatestRequest(
      async ({ settings, tokens }: { readonly settings: FilterSettings; readonly tokens: Tokens }, token) => {
        const [point] = await this.analyses.measure({ settings, lossRates: [settings.lossRate] }, { token });
        return point && { psnr: point.psnr, ssim: point.ssim, tokens, settings: nameOf(settings) };
      },
      (plain) => (this.plain.value = plain),
      this.fail,
    );
    effect(() => {
      const tokens = inspector.tokenization.value?.tokens;
      const settings = inspector.settings.value;
      const reconstruction = inspector.reconstruction.value;
      const edited = this.edited.value;
      if (tokens === undefined || reconstruction === undefined || inspector.stale.value) {
        request.stop();
        return;
      }
      const name = nameOf(settings);
      const plain = this.plain.peek();
      if (!edited) {
        const { psnr, ssim } = reconstruction;
        this.plain.value = { psnr, ssim, tokens, settings: name };
      } else if (plain?.tokens !== tokens || plain.settings !== name) {
        request.ask({ settings, tokens }, { delayMs: 0, finishRunning: false });
      }
    });
  }
}

/** Equal for settings that keep the same patches. */
function nameOf(settings: FilterSettings): string {
  return JSON.stringify(filterKeys.map((key) => settings[key]));
}

function sentence(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}
