import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import type { ColormapName } from '../canvas/colormaps';
import type { Camera } from '../canvas/viewport';
import { equalSettings } from './lossRate';
import {
  offeredOverlays,
  overlays,
  readViewText,
  type Arrangement,
  type Distortion,
  type Overlay,
  type Range,
  type Rate,
  type StoredEdits,
  type View,
  type ViewState,
} from './viewState';
import type { Progress } from '../../src/protocol/analyses';
import type { DecodedPicture } from '../../src/protocol/engineMessages';
import type { Failure, InspectedDocument, InspectedTokenization, ModelMenu } from '../../src/protocol/document';
import type { Anchor, Codec } from '../../src/method/anchors';
import { keepRanks, maskBits, rankPatches, referenceBudget, selectKept } from '../../src/method/filter';
import {
  forcedSelection,
  givenSelection,
  historyOf,
  isEdited,
  keyOfEdits,
  noEdits,
  withForced,
  withReplaced,
  type EditHistory,
  type Edits,
} from '../../src/method/edits';
import { hasPart } from '../../src/method/parts';
import { tileOf, tileRegion } from '../../src/method/patch';
import { criterionOf, isSequential } from '../../src/method/sequential';
import { costOf, estimatedGrid, keepPrefix, stepRanking, takesLength, type KeptSet } from '../../src/method/streams';
import {
  decodedFormat,
  type CodeArray,
  type AttentionChoice,
  type AttentionMap,
  type Budget,
  type FilterSettings,
  type ModelDescription,
  type ShownImage,
  type PatchRegion,
  type ProviderName,
  type Ranking,
  type RankingCriterion,
  type Reconstruction,
  type CropMode,
  type StageTimings,
  type Tokens,
} from '../../src/method/types';

export type Phase =
  | { readonly kind: 'working'; readonly progress: Progress | undefined }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** The kept set that is shown, and what it costs. */
export interface Selected {
  /** N values, 1 = kept. */
  readonly keep: Uint8Array;
  readonly keptTokens: number;
  /** The leading steps that are kept. */
  readonly length: number;
  readonly totalTokens: number;
  readonly payloadBits: number;
  readonly maskBits: number;
  /** Σ_D ĥ and B, bits. */
  readonly lostBits: number;
  readonly budgetBits: number;
}

/** How pictures are shown, which two inspectors of one page may share. */
export type SharedView = Pick<
  Inspector,
  | 'view'
  | 'chosenOverlay'
  | 'opacity'
  | 'colormap'
  | 'range'
  | 'swipe'
  | 'chosenLayer'
  | 'chosenHead'
  | 'isolatedTokens'
>;

/** A ranking by the host, and what it was asked for. */
export interface Ranked extends Pick<FilterSettings, 'edgePriority'> {
  readonly criterion: RankingCriterion;
  /** R of the ranking; undefined: its default. */
  readonly rankingRounds: number | undefined;
  readonly ranking: Ranking;
}

/** A reconstruction, and the ranking that it was filtered by: undefined where nothing can be dropped. */
export interface RankedReconstruction extends Reconstruction {
  readonly ranking: Ranking | undefined;
  /** The experiments that it has in it; absent: none. */
  readonly edits?: Edits | undefined;
}

/**
 * Everything the page shows, as signals: inputs that the host or the user sets, and values computed from them.
 *
 * A computed value depends on exactly what it is made of (the ranking on ĥ and β, the kept set on ranking, ε and B), so
 * changing one input never recomputes what it does not affect.
 */
export class Inspector {
  readonly document = signal<InspectedDocument | undefined>(undefined);
  readonly phase = signal<Phase>({ kind: 'working', progress: undefined });
  /** A failure that leaves what is shown valid. */
  readonly notice = signal<Failure | undefined>(undefined);
  readonly models = signal<ModelMenu | undefined>(undefined);
  /** True if another model is being chosen or loaded; what is shown stays until it can be used. */
  readonly choosingModel = signal(false);
  /** The picture shown, with its tokens or before there are any. */
  readonly picture = signal<Pick<DecodedPicture, 'image' | 'model'> | undefined>(undefined);
  readonly tokenization = signal<InspectedTokenization | undefined>(undefined);
  /** The last ranking of these tokens that took the model; rankings by ĥ given G alone are computed here. */
  readonly ranked = signal<Ranked | undefined>(undefined);
  /** undefined until the first of these tokens came. */
  readonly reconstruction = signal<RankedReconstruction | undefined>(undefined);
  readonly timings = signal<StageTimings>({});
  /** Where the host is with the ranking or reconstruction asked for; undefined while there is none to wait for. */
  readonly reconstructing = signal<Progress | undefined>(undefined);
  readonly attention = signal<AttentionMap | undefined>(undefined);
  /** The photograph at the bytes of its tokens, in the format chosen; undefined while it is not computed, or no file is so small. */
  readonly anchor = signal<Anchor | undefined>(undefined);

  readonly lossRate: Signal<number>;
  readonly edgePriority: Signal<number>;
  readonly budget: Signal<Budget>;
  readonly criterion: Signal<RankingCriterion>;
  /** Set by settings alone. */
  readonly rankingRounds: Signal<number | undefined>;

  readonly view: Signal<View>;
  /** The user's choice, also for models that have no such overlay. */
  readonly chosenOverlay: Signal<Overlay>;
  readonly opacity: Signal<number>;
  readonly colormap: Signal<ColormapName>;
  readonly range: Signal<Range>;
  readonly swipe: Signal<number>;
  readonly camera: Signal<Camera>;
  readonly chosenLayer: Signal<AttentionChoice | undefined>;
  readonly chosenHead: Signal<AttentionChoice>;
  readonly isolatedTokens: Signal<readonly number[]>;
  readonly rate: Signal<Rate>;
  readonly distortion: Signal<Distortion>;
  /** True if anchors are computed. */
  readonly anchored: Signal<boolean>;
  /** The format that is shown beside the reconstruction. */
  readonly codec: Signal<Codec>;
  readonly arrangement: Signal<Arrangement>;
  /** undefined: as the settings say. */
  readonly chosenCropMode: Signal<CropMode | undefined>;
  /** The patch that readout and plots speak of; a pinned one does not follow the pointer. */
  readonly focused = signal<number | undefined>(undefined);
  readonly pinned = signal(false);
  /** Experiments on these tokens, with what undoing and redoing lead to. */
  readonly history: Signal<EditHistory> = signal(historyOf(noEdits));
  /** True while the pointer or the keyboard is at a patch, in the picture or in a plot. */
  readonly pointing = signal(false);

  private readonly hostSettings = signal<FilterSettings | undefined>(undefined);
  /** The last picture that was told of: that of the tokens to come. */
  private pictured: ShownImage | undefined;
  private restored: FilterSettings | undefined;
  /** The row of a data set that the page showed before. */
  readonly restoredRow: number | undefined;
  /** Experiments of the page that was here before, and what they were of. */
  private restoredEdits: StoredEdits | undefined;
  /** The host's settings when those were stored. */
  private restoredHost: FilterSettings | undefined;
  /** True if the page was here before. */
  private readonly remembers: boolean;

  /** @param shared is used in place of signals of its own. */
  constructor(stored: ViewState, shared?: SharedView) {
    this.restored = stored.settings;
    this.restoredEdits = stored.edits;
    this.remembers = stored.uri !== '';
    this.restoredHost = stored.hostSettings;
    this.lossRate = signal(stored.settings?.lossRate ?? 0);
    this.edgePriority = signal(stored.settings?.edgePriority ?? 0);
    this.budget = signal<Budget>(stored.settings?.budget ?? 'image');
    this.criterion = signal<RankingCriterion>(stored.settings?.ranking ?? 'entropy');
    this.rankingRounds = signal(stored.settings?.rankingRounds);
    this.view = shared?.view ?? signal(stored.view);
    this.chosenOverlay = shared?.chosenOverlay ?? signal(stored.overlay);
    this.opacity = shared?.opacity ?? signal(stored.opacity);
    this.colormap = shared?.colormap ?? signal(stored.colormap);
    this.range = shared?.range ?? signal(stored.range);
    this.swipe = shared?.swipe ?? signal(stored.swipe);
    this.camera = signal(stored.camera);
    this.chosenLayer = shared?.chosenLayer ?? signal(stored.layer);
    this.chosenHead = shared?.chosenHead ?? signal(stored.head);
    this.isolatedTokens = shared?.isolatedTokens ?? signal<readonly number[]>(stored.isolated);
    this.rate = signal(stored.rate);
    this.distortion = signal(stored.distortion);
    this.anchored = signal(stored.anchored);
    this.codec = signal(stored.codec);
    this.arrangement = signal(stored.arrangement);
    this.chosenCropMode = signal(stored.cropMode);
    this.restoredRow = stored.row;
  }

  readonly provider: ReadonlySignal<ProviderName | undefined> = computed(
    () => this.tokenization.value?.provider.provider,
  );

  /** Overlays of the picture beside this one, which are alone of use in a comparison; undefined: there is none. */
  readonly peerOverlays = signal<readonly Overlay[] | undefined>(undefined);

  /** Overlays that there are for the model; all while it is not known. */
  readonly overlays: ReadonlySignal<readonly Overlay[]> = computed(() => {
    const model = this.picture.value?.model;
    const own = model === undefined ? overlays : offeredOverlays(model);
    const also = this.peerOverlays.value;
    return also === undefined ? own : own.filter((overlay) => also.includes(overlay));
  });

  /** The overlay shown: the one chosen, or none where the model has no such. */
  readonly overlay: ReadonlySignal<Overlay> = computed(() => {
    const chosen = this.chosenOverlay.value;
    return this.overlays.value.includes(chosen) ? chosen : 'none';
  });

  /** The kept set that the tokens came with, out of a file; undefined where the filter decides. */
  private readonly given = computed(() => this.tokenization.value?.tokens.keep);

  /** True if ε decides what is kept, single tokens or a length; until the model is known, as of TaTok. */
  readonly rates: ReadonlySignal<boolean> = computed(() => {
    if (this.document.value?.tokens !== undefined) return false;
    const model = this.picture.value?.model;
    return model === undefined || hasPart(model, 'rates');
  });

  /** True unless what tokens decode to stands in for an original that was not found. */
  readonly hasOriginal: ReadonlySignal<boolean> = computed(() => this.picture.value?.image.format !== decodedFormat);

  /** True if an entropy model says what dropping single tokens loses; until it is known, as TaTok's. */
  readonly filters: ReadonlySignal<boolean> = computed(() => this.picture.value?.model.filters ?? true);

  /** The ranking's criterion: the one chosen, or the only one that the model has. */
  readonly ranks: ReadonlySignal<RankingCriterion> = computed(() => {
    const model = this.picture.value?.model;
    return model === undefined ? this.criterion.value : criterionOf(model, this.criterion.value);
  });

  readonly settings: ReadonlySignal<FilterSettings> = computed(() => ({
    lossRate: this.lossRate.value,
    edgePriority: this.edgePriority.value,
    budget: this.budget.value,
    ranking: this.ranks.value,
    rankingRounds: this.rankingRounds.value,
  }));

  /**
   * π and its cumulative sum, which depend on ĥ, β and the criterion, not on ε. Computed here for entropy alone; a sequential
   * ranking needs the model, so the host's last answer brings it. undefined where nothing can be dropped.
   */
  readonly ranking: ReadonlySignal<Ranking | undefined> = computed(() => {
    const tokenization = this.tokenization.value;
    if (tokenization?.model.filters !== true) return undefined;
    if (isSequential(this.ranks.value) && this.given.value === undefined) {
      return this.awaitsRanking.value ? this.reconstruction.value?.ranking : this.ranked.value?.ranking;
    }
    const { model, image, tokens } = tokenization;
    return rankPatches(tokens.entropyBits, estimatedGrid(model, image), this.edgePriority.value);
  });

  /** What ε is sampled by: the ranking, or the steps of a prefix; undefined until it is known, and where ε decides nothing. */
  readonly sampled: ReadonlySignal<Ranking | undefined> = computed(() => {
    const model = this.tokenization.value?.model;
    return model !== undefined && takesLength(model) ? stepRanking(model) : this.ranking.value;
  });

  /**
   * True if the host has yet to rank the patches under the β, criterion and rounds chosen: until then the mask of the last
   * reconstruction is shown, if there is one.
   */
  readonly awaitsRanking: ReadonlySignal<boolean> = computed(
    () =>
      this.tokenization.value?.model.filters === true &&
      isSequential(this.ranks.value) &&
      this.given.value === undefined &&
      (this.ranked.value?.edgePriority !== this.edgePriority.value ||
        this.ranked.value.criterion !== this.ranks.value ||
        this.ranked.value.rankingRounds !== this.rankingRounds.value),
  );

  /** Place of every patch in the order of keeping, 1 = dropped last; undefined where patches are not ranked. */
  readonly keepRank: ReadonlySignal<Uint32Array | undefined> = computed(() => {
    if (this.picture.value?.model.patchTokens === 0) return undefined;
    const order = this.ranking.value?.order;
    return order && keepRanks(order);
  });

  /** B of the manifest under the reference budget; null means this image's own Σĥ. */
  readonly budgetBits: ReadonlySignal<number | null> = computed(() => {
    const tokenization = this.tokenization.value;
    if (tokenization?.model.filters !== true || this.budget.value === 'image') return null;
    return referenceBudget(tokenization.model, tokenization.image);
  });

  private readonly selection: ReadonlySignal<KeptSet | undefined> = computed(() => {
    const tokenization = this.tokenization.value;
    if (tokenization?.model.filters === false)
      return keepPrefix(tokenization.model, tokenization.image, this.lossRate.value);
    const ranking = this.ranking.value;
    if (tokenization === undefined || ranking === undefined) return undefined;
    const { keep } = tokenization.tokens;
    if (keep !== undefined) {
      return { ...givenSelection(keep, tokenization.tokens.entropyBits), length: tokenization.model.steps.length };
    }
    const answer = this.awaitsRanking.value ? this.reconstruction.value : undefined;
    const { length } = tokenization.model.steps;
    return answer ?? { ...selectKept(ranking, this.lossRate.value, this.budgetBits.value), length };
  });

  /** What the filter keeps under the settings shown, experiments apart: any ε is filtered here, as soon as the ranking is known. */
  readonly filtered: ReadonlySignal<Selected | undefined> = computed(() => this.counted(this.selection.value));

  readonly edits: ReadonlySignal<Edits> = computed(() => this.history.value.present);

  /** The kept set shown: what the filter keeps, with forced patches. Bits lost are then those given G, as far as the page knows them. */
  readonly selected: ReadonlySignal<Selected | undefined> = computed(() => {
    const selection = this.selection.value;
    const tokens = this.tokenization.value?.tokens;
    if (selection === undefined || tokens === undefined) return undefined;
    const keep = withForced(selection.keep, this.edits.value);
    if (keep === selection.keep) return this.filtered.value;
    return this.counted({ ...selection, ...forcedSelection(keep, tokens.entropyBits) });
  });

  /** The tokens with the codes that are decoded; bits are those of the model's own codes. */
  readonly decoded: ReadonlySignal<Tokens | undefined> = computed(() => {
    const tokens = this.tokenization.value?.tokens;
    return tokens && withReplaced(tokens, this.edits.value);
  });

  private counted(selection: KeptSet | undefined): Selected | undefined {
    const tokenization = this.tokenization.value;
    if (tokenization === undefined || selection === undefined) return undefined;
    const { keep, keptTokens, length, lostBits, budgetBits } = selection;
    const { model, image } = tokenization;
    return {
      keep,
      keptTokens,
      length,
      ...costOf(model, image.tiles, { keptTokens, length }),
      lostBits,
      budgetBits,
      maskBits: maskBits(keep.length, keptTokens) + Math.log2(model.steps.length),
    };
  }

  /** True if reconstruction, PSNR and SSIM are still to come, or still those of other settings. */
  readonly stale: ReadonlySignal<boolean> = computed(() => {
    if (this.tokenization.value === undefined) return false;
    const reconstruction = this.reconstruction.value;
    const selected = this.selected.value;
    if (reconstruction === undefined || selected === undefined) return true;
    if (codesOf(this.edits.value) !== codesOf(reconstruction.edits ?? noEdits)) return true;
    if (this.ranking.value === undefined) return selected.length !== reconstruction.length;
    if (this.awaitsRanking.value || this.ranks.value !== reconstruction.settings.ranking) return true;
    // Other settings that keep the same patches decode to the same image.
    return selected.keep.some((kept, patch) => kept !== reconstruction.keep[patch]);
  });

  /** Where the user stopped the host: these tokens and settings are no longer ranked and reconstructed. */
  private readonly stoppedAt = signal<
    { readonly tokens: Tokens | undefined; readonly settings: FilterSettings } | undefined
  >(undefined);

  /** True if the user stopped ranking or reconstruction under the settings shown. */
  readonly stopped: ReadonlySignal<boolean> = computed(() => {
    const at = this.stoppedAt.value;
    return at !== undefined && at.tokens === this.tokenization.value?.tokens && at.settings === this.settings.value;
  });

  /** Does without what is still to come, until {@link resume} or until other settings are chosen. */
  stop(): void {
    this.stoppedAt.value = { tokens: this.tokenization.value?.tokens, settings: this.settings.value };
  }

  resume(): void {
    this.stoppedAt.value = undefined;
  }

  /** How the document is tokenized, as far as the page knows: what the user chose, else what came. */
  readonly cropMode: ReadonlySignal<CropMode> = computed(
    () => this.chosenCropMode.value ?? this.picture.value?.image.cropMode ?? 'centre',
  );

  /** The tile whose attention is shown: that of the focused patch, at first the middle one. */
  readonly tile: ReadonlySignal<number> = computed(() => {
    const tokenization = this.tokenization.value;
    if (tokenization === undefined) return 0;
    const { rows, columns } = tokenization.image.grid;
    const middle = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
    return tileOf(this.focused.value ?? middle, tokenization.image, tokenization.model);
  });

  /** Its patches on the whole grid. */
  readonly tileRegion: ReadonlySignal<PatchRegion | undefined> = computed(() => {
    const tokenization = this.tokenization.value;
    return tokenization && tileRegion(this.tile.value, tokenization.image, tokenization.model);
  });

  /** The attention map, as long as it is of the picture and tile shown. */
  readonly shownAttention: ReadonlySignal<AttentionMap | undefined> = computed(() => {
    const map = this.attention.value;
    const tokenization = this.tokenization.value;
    if (map?.tile !== this.tile.value) return undefined;
    const { region, weights } = map;
    const globalTokens = tokenization?.model.globalTokens ?? 0;
    return globalTokens > 0 && weights.length === region.rows * region.columns * globalTokens ? map : undefined;
  });

  readonly layer: ReadonlySignal<AttentionChoice> = computed(() => {
    const layers = this.picture.value?.model.attentionLayers ?? 1;
    const chosen = this.chosenLayer.value;
    return chosen === 'mean' || (chosen !== undefined && chosen < layers) ? chosen : layers - 1;
  });

  readonly head: ReadonlySignal<AttentionChoice> = computed(() => {
    const heads = this.picture.value?.model.attentionHeads ?? 0;
    const chosen = this.chosenHead.value;
    return chosen !== 'mean' && chosen < heads ? chosen : 'mean';
  });

  /** Takes what the host knows of the document. Settings that the page remembers win over those it should start with. */
  open(document: InspectedDocument): void {
    batch(() => {
      if (document.view !== undefined && !this.remembers) this.adoptView(document.view);
      this.document.value = document;
    });
    this.restored ??= document.settings;
  }

  /** Takes the stored form of the model that was chosen for a side of a comparison. */
  keepModel(model: string): void {
    const document = this.document.peek();
    if (document !== undefined) this.document.value = { ...document, model };
  }

  /** Begins as another page looked. */
  private adoptView(text: string): void {
    const state = readViewText(text);
    this.view.value = state.view;
    this.chosenOverlay.value = state.overlay;
    this.opacity.value = state.opacity;
    this.colormap.value = state.colormap;
    this.range.value = state.range;
    this.swipe.value = state.swipe;
    this.camera.value = state.camera;
    this.chosenLayer.value = state.layer;
    this.chosenHead.value = state.head;
    this.isolatedTokens.value = state.isolated;
    this.rate.value = state.rate;
    this.distortion.value = state.distortion;
    this.chosenCropMode.value = state.cropMode;
    this.restored = state.settings;
    this.restoredHost = state.hostSettings;
  }

  /** How the page looks whatever the image, as text: pages of other images begin so. */
  readonly look: ReadonlySignal<string> = computed(() =>
    JSON.stringify({
      view: this.view.value,
      overlay: this.chosenOverlay.value,
      opacity: this.opacity.value,
      colormap: this.colormap.value,
      range: this.range.value,
      rate: this.rate.value,
      distortion: this.distortion.value,
    }),
  );

  /** Takes the picture that is being tokenized. A picture that is shown already stays until there are new tokens. */
  acceptPicture({ image, model, settings }: DecodedPicture): void {
    this.pictured = image;
    if (this.tokenization.peek() !== undefined) return;
    batch(() => {
      this.adopt(settings, model);
      this.picture.value = { image, model };
    });
  }

  /** Takes the host's tokens of the last picture. The user's own settings stay, unless the host's changed since it last spoke. */
  accept(tokens: Omit<InspectedTokenization, 'image'>): void {
    if (this.pictured === undefined) throw new Error('tokens came before their picture');
    const tokenization = { ...tokens, image: this.pictured };
    const { rows, columns } = tokenization.image.grid;
    const former = this.tokenization.peek()?.image;
    batch(() => {
      if (former !== undefined && former.cropMode !== tokenization.image.cropMode) {
        // Patches and image pixels are others now.
        this.focused.value = undefined;
        this.pinned.value = false;
        this.camera.value = 'fit';
      }
      // Another editor of the document may have chosen, or the choice was cancelled.
      if (this.chosenCropMode.value !== undefined) this.chosenCropMode.value = tokenization.image.cropMode;
      this.adopt(tokenization.settings, tokenization.model);
      const before = this.tokenization.value;
      const image = sameImage(this.picture.value?.image, tokenization.image);
      const now = unchanged(before, { ...tokenization, image });
      this.tokenization.value = now;
      if (this.picture.value?.image !== image || before?.model !== now.model) this.picture.value = now;
      if (before?.tokens !== now.tokens) {
        this.ranked.value = undefined;
        this.reconstruction.value = undefined;
        this.attention.value = undefined;
        this.timings.value = now.timings;
        // Experiments are of the tokens that they were made on.
        const { edits, of } = this.restoredEdits ?? { edits: noEdits, of: undefined };
        const kept = of === fingerprint(now) ? edits : noEdits;
        // Those of a file the host keeps.
        this.history.value = historyOf(now.origin?.edits ?? kept);
        this.restoredEdits = undefined;
      }
      this.isolatedTokens.value = this.isolatedTokens.value.filter((token) => token < tokenization.model.globalTokens);
      if ((this.focused.value ?? 0) >= rows * columns) this.focused.value = undefined;
      this.notice.value = undefined;
      this.phase.value = { kind: 'ready' };
    });
  }

  /** What failed. Of a data set the picture that is shown is another row's, which is no longer wanted. */
  fail(failure: Failure): void {
    batch(() => {
      this.phase.value = { kind: 'failed', failure };
      if (this.document.peek()?.tokens !== 'dataset') return;
      this.tokenization.value = undefined;
      this.picture.value = undefined;
      this.reconstruction.value = undefined;
    });
  }

  /** A model that can drop nothing changes no settings: they hold again for the next that can. */
  private adopt(settings: FilterSettings, model: ModelDescription): void {
    if (!hasPart(model, 'rates')) return;
    const before = this.hostSettings.peek();
    const adopted =
      before === undefined
        ? (this.restoredUnder(settings) ?? settings)
        : equalSettings(settings, before)
          ? undefined
          : settings;
    this.hostSettings.value = settings;
    this.restored = undefined;
    if (adopted !== undefined) this.setSettings(adopted);
  }

  /** The stored settings, unless the host's changed while no page saw it. */
  private restoredUnder(settings: FilterSettings): FilterSettings | undefined {
    const host = this.restoredHost;
    return host === undefined || equalSettings(host, settings) ? this.restored : undefined;
  }

  setSettings(settings: FilterSettings): void {
    batch(() => {
      this.lossRate.value = settings.lossRate;
      this.edgePriority.value = settings.edgePriority;
      this.budget.value = settings.budget;
      this.criterion.value = settings.ranking;
      this.rankingRounds.value = settings.rankingRounds;
    });
  }

  hover(patch: number | undefined): void {
    this.pointing.value = patch !== undefined;
    if (!this.pinned.value && patch !== undefined) this.focused.value = patch;
  }

  /** Changes how the parts of the page share its room. */
  arrange(change: Partial<Arrangement>): void {
    this.arrangement.value = { ...this.arrangement.peek(), ...change };
  }

  /** Holds the readout on a patch, or lets it go again. */
  togglePin(patch: number): void {
    batch(() => {
      this.pinned.value = !(this.pinned.value && this.focused.value === patch);
      this.focused.value = patch;
    });
  }

  /** Shows one global token's attention or influence (or, pressed again, the mean of all); `add` keeps the others. */
  isolate(token: number, add: boolean): void {
    const before = this.isolatedTokens.value;
    const isolated = before.includes(token);
    batch(() => {
      if (add) {
        this.isolatedTokens.value = isolated
          ? before.filter((other) => other !== token)
          : [...before, token].sort((a, b) => a - b);
      } else {
        this.isolatedTokens.value = isolated && before.length === 1 ? [] : [token];
      }
      if (this.overlay.value !== 'influence') this.chosenOverlay.value = 'attention';
    });
  }

  /** State for `vscode.setState`; undefined until the document is known. */
  readonly viewState: ReadonlySignal<ViewState | undefined> = computed(() => {
    const document = this.document.value;
    return document && { uri: document.uri, ...this.shownState() };
  });

  private shownState(): Omit<ViewState, 'uri'> {
    return {
      view: this.view.value,
      overlay: this.chosenOverlay.value,
      opacity: this.opacity.value,
      colormap: this.colormap.value,
      range: this.range.value,
      swipe: this.swipe.value,
      camera: this.camera.value,
      layer: this.chosenLayer.value,
      head: this.chosenHead.value,
      isolated: [...this.isolatedTokens.value],
      rate: this.rate.value,
      distortion: this.distortion.value,
      anchored: this.anchored.value,
      codec: this.codec.value,
      arrangement: this.arrangement.value,
      row: this.tokenization.value?.origin?.row?.index ?? this.restoredRow,
      cropMode: this.chosenCropMode.value,
      settings: this.hostSettings.value === undefined ? this.restored : this.settings.value,
      hostSettings: this.hostSettings.value ?? this.restoredHost,
      edits: this.storedEdits.value,
    };
  }

  private readonly storedEdits: ReadonlySignal<StoredEdits | undefined> = computed(() => {
    const tokenization = this.tokenization.value;
    if (tokenization === undefined) return this.restoredEdits;
    if (tokenization.origin?.edits) return undefined;
    return isEdited(this.edits.value) ? { edits: this.edits.value, of: fingerprint(tokenization) } : undefined;
  });
}

/** Equal for edits that decode the same codes. */
function codesOf({ replaced }: Edits): string {
  return keyOfEdits({ ...noEdits, replaced });
}

/** Names a model and its tokens: a hash (FNV-1a) of the codes, that of the model, and the grid. */
function fingerprint({ model, image, tokens }: InspectedTokenization): string {
  let hash = 0x811c9dc5;
  for (const codes of [tokens.globalCodes, tokens.patchCodes]) {
    for (const byte of new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength)) {
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
  }
  return `${model.hash} ${image.grid.rows}×${image.grid.columns} ${hash >>> 0}`;
}

/** The image shown, where the new one is the same: nothing made of it is made again. */
function sameImage(shown: ShownImage | undefined, now: ShownImage): ShownImage {
  if (shown === undefined || !equalValues(shown.rgb, now.rgb)) return now;
  const { rgb: _, ...geometry } = now;
  return JSON.stringify({ ...shown, rgb: undefined }) === JSON.stringify(geometry) ? shown : now;
}

/** Image and tokens keep their identity when only settings changed, so that nothing made of them is made again. */
function unchanged(before: InspectedTokenization | undefined, now: InspectedTokenization): InspectedTokenization {
  if (before?.model.directory !== now.model.directory || before.model.version !== now.model.version) return now;
  if (!equalValues(before.image.rgb, now.image.rgb) || !equalCodes(before.tokens, now.tokens)) return now;
  return { ...now, image: before.image, tokens: before.tokens };
}

function equalCodes(a: Tokens, b: Tokens): boolean {
  const [before, now] = [a, b].map((each) => [each.globalCodes, each.patchCodes, ...each.otherCodes]);
  const kept = equalValues(a.keep ?? new Uint8Array(), b.keep ?? new Uint8Array());
  return kept && (now?.every((codes, i) => equalValues(codes, before?.[i] ?? new Int32Array())) ?? false);
}

function equalValues(a: Uint8Array | CodeArray, b: Uint8Array | CodeArray): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
