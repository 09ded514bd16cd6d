import { computed, effect } from '@preact/signals';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import type { Inspector } from './inspector';
import { Influence } from './influence';
import { LatestRequest } from './latestRequest';
import { followNearest, type NearCodes } from './nearest';
import { Anchors } from './anchors';
import { RateDistortion } from './rateDistortion';
import { Targets } from './targets';
import { readViewState } from './viewState';
import { analysesOver, type Analyses, type AttentionRequest, type Progress } from '../../src/protocol/analyses';
import * as protocol from '../../src/protocol/document';
import { fromResponseError } from '../../src/protocol/errorTransfer';
import type { CropMode, FilterSettings } from '../../src/method/types';
import { carried, type Edits } from '../../src/method/edits';
import { hasPart } from '../../src/method/parts';
import { Experiments } from './experiments';
import { followHostEdits } from './hostEdits';

/** A drag has paused when nothing moved for so long; the CPU decodes only then. */
const pauseMs = 120;

/** Requests of the controls to the host. */
export interface Session {
  cancel(): void;
  runAction(action: protocol.FailureAction): void;
  saveDefaults(): Promise<void>;
  /** @param model by its id in the menu; null: the host asks for a folder. */
  chooseModel(model: string | null): Promise<void>;
  readonly rateDistortion: RateDistortion;
  readonly influence: Influence;
  /** The entries near to the codes of the patch in focus, once they are known. Follows signals. */
  readonly nearest: () => NearCodes | undefined;
  readonly anchors: Anchors;
  readonly experiments: Experiments;
  readonly targets: Targets;
  chooseCropMode(mode: CropMode): void;
  chooseRow(choice: protocol.RowChoice): void;
  /** Shows another image of the folder, with everything as it is here; of a data set another row. */
  openNeighbour(which: 'next' | 'previous'): Promise<void>;
}

/** Data that not every page shows, or not always: it is requested only where needed. */
export interface Needs {
  /** Follows the signals it reads. */
  readonly attention: () => boolean;
  readonly models: boolean;
  /** True if pages of other images are to begin as this one looks. */
  readonly remembered?: boolean;
}

/** Connects the inspector's signals with the host: its news become inputs, changed inputs become requests. */
export function startSession(inspector: Inspector, connection: MessageConnection, needs: Needs): Session {
  connection.onNotification(protocol.progressed, (progress) => {
    inspector.phase.value = { kind: 'working', progress };
  });
  connection.onNotification(protocol.pictured, (picture) => inspector.acceptPicture(picture));
  connection.onNotification(protocol.tokenized, (tokenization) => inspector.accept(tokenization));
  connection.onNotification(protocol.failed, (failure) => inspector.fail(failure));
  connection.onNotification(protocol.modelKept, ({ model }) => inspector.keepModel(model));
  connection.listen();

  const notify = (failed: string) => (error: unknown) => {
    const { code, message } = fromResponseError(error);
    if (code === 'cancelled') {
      inspector.reconstructing.value = undefined;
      return;
    }
    inspector.notice.value = { message: `${failed}: ${message}`, actions: ['showOutput'] };
  };
  const analyses = analysesOver(connection);

  // The host compares what the page shows, and that is known here alone.
  effect(() => {
    const settings = inspector.settings.value;
    if (inspector.tokenization.value !== undefined) void connection.sendNotification(protocol.filtering, settings);
  });

  // In the order in which the host is to answer: each of a large picture takes longer than the one before.
  followAttention(inspector, analyses, needs.attention, notify('Attention could not be read'));
  followRanking(inspector, analyses, notify('The patches could not be ranked'));
  followReconstruction(inspector, analyses, notify('The reconstruction could not be updated'));

  connection
    .sendRequest(protocol.ready, { cropMode: inspector.chosenCropMode.peek(), row: inspector.restoredRow })
    .then(
      (document) => inspector.open(document),
      (error: unknown) => {
        const { message } = fromResponseError(error);
        inspector.phase.value = { kind: 'failed', failure: { message, actions: ['showOutput'] } };
      },
    );

  if (needs.remembered === true) followView(inspector, connection);
  // The host answers a page once that has sent `ready`.
  if (needs.models) followModels(inspector, connection, notify('The models could not be listed'));

  const experiments = new Experiments(
    inspector,
    analyses,
    notify('The experiment could not be made'),
    () => connection.sendRequest(protocol.chooseOther),
    (way) => {
      if (inspector.document.peek()?.tokens !== 'file') return false;
      void connection.sendNotification(protocol.travel, way);
      return true;
    },
  );
  followHostEdits(inspector, experiments, connection);
  const rateDistortion = new RateDistortion(
    inspector,
    analyses,
    notify('The rate–distortion curve could not be measured'),
  );
  return {
    rateDistortion,
    anchors: new Anchors(inspector, rateDistortion, analyses, notify('The photograph could not be encoded')),
    nearest: followNearest(inspector, analyses, notify('The nearest entries could not be read')),
    influence: new Influence(inspector, analyses, notify('The influence of global tokens could not be computed')),
    targets: new Targets(inspector, analyses, notify('The target could not be reached')),
    experiments,
    cancel: () => {
      if (inspector.phase.peek().kind === 'working') void connection.sendNotification(protocol.cancel);
      else inspector.stop();
    },
    runAction: (action) => {
      if (action === 'retry' || action === 'openAnyway') {
        inspector.phase.value = { kind: 'working', progress: undefined };
      }
      void connection.sendNotification(protocol.runAction, action);
    },
    chooseModel: async (model) => {
      inspector.choosingModel.value = true;
      try {
        if (await connection.sendRequest(protocol.chooseModel, { model })) inspector.notice.value = undefined;
      } catch (error) {
        const { message, advice = '' } = fromResponseError(error);
        inspector.notice.value = { message: `${message} ${advice}`.trimEnd(), actions: ['showOutput'] };
      }
      inspector.choosingModel.value = false;
    },
    chooseCropMode: (mode) => {
      inspector.chosenCropMode.value = mode;
      inspector.phase.value = { kind: 'working', progress: undefined };
      void connection.sendNotification(protocol.chooseCropMode, mode);
    },
    chooseRow: (choice) => void connection.sendNotification(protocol.chooseRow, choice),
    openNeighbour: async (which) => {
      const kind = inspector.document.peek()?.tokens;
      if (kind === 'dataset') void connection.sendNotification(protocol.chooseRow, which);
      if (kind !== undefined) return;
      const { edits: _, uri: __, ...view } = inspector.viewState.peek() ?? readViewState(undefined);
      const request = { which, view: JSON.stringify(view), cropMode: inspector.chosenCropMode.peek() };
      try {
        if (await connection.sendRequest(protocol.openNeighbour, request)) return;
        const end = which === 'next' ? 'last' : 'first';
        inspector.notice.value = { message: `This is the ${end} image of its folder.`, actions: [] };
      } catch (error) {
        notify('The other image could not be opened')(error);
      }
    },
    saveDefaults: () =>
      connection
        .sendRequest(protocol.saveDefaults, inspector.settings.value)
        .catch(notify('The settings could not be saved')),
  };
}

/** Asks for the ranking under another β or ranking criterion, or of other tokens; ε and budget have no part in it. */
function followRanking(inspector: Inspector, analyses: Analyses, fail: (error: unknown) => void): void {
  const request = new LatestRequest(
    async (settings: FilterSettings, token) => ({
      edgePriority: settings.edgePriority,
      criterion: settings.ranking,
      rankingRounds: settings.rankingRounds,
      ranking: await analyses.rank(settings, { token, onProgress: showProgress(inspector) }),
    }),
    (ranked) => (inspector.ranked.value = ranked),
    fail,
  );
  effect(() => {
    // The same β of other tokens is another ranking.
    const tokens = inspector.tokenization.value?.tokens;
    if (tokens === undefined || !inspector.awaitsRanking.value || inspector.stopped.value) {
      request.stop();
      return;
    }
    const [edgePriority, ranking] = [inspector.edgePriority.value, inspector.ranks.value];
    const rankingRounds = inspector.rankingRounds.value;
    const first = inspector.ranked.peek() === undefined;
    request.ask(
      { ...inspector.settings.peek(), edgePriority, ranking, rankingRounds },
      { delayMs: first ? 0 : pauseMs, finishRunning: false },
    );
  });
}

/** Asks for a new reconstruction when the one shown is stale: at once on a GPU, after the drag pauses on the CPU. */
function followReconstruction(inspector: Inspector, analyses: Analyses, fail: (error: unknown) => void): void {
  const request = new LatestRequest(
    async ({ edits, ...settings }: FilterSettings & { readonly edits: Edits }, token) => {
      const ranking = inspector.ranking.peek();
      const request = { ...settings, edits: carried(edits) };
      const answer = await analyses.reconstruct(request, { token, onProgress: showProgress(inspector) });
      return { ...answer, ranking, edits };
    },
    ({ timings, ...reconstruction }) => {
      inspector.reconstruction.value = reconstruction;
      inspector.timings.value = { ...inspector.timings.peek(), ...timings };
      inspector.notice.value = undefined;
      inspector.reconstructing.value = undefined;
    },
    fail,
  );
  effect(() => {
    const tokenization = inspector.tokenization.value;
    const settings = inspector.settings.value;
    if (tokenization === undefined || !inspector.stale.value || inspector.stopped.value) {
      request.stop();
      inspector.reconstructing.value = undefined;
      return;
    }
    // The host's reconstruction is filtered by the ranking.
    if (inspector.awaitsRanking.value) {
      request.stop();
      return;
    }
    const former = inspector.reconstruction.peek();
    const edits = inspector.edits.value;
    const fast = tokenization.provider.provider !== 'cpu';
    // An experiment is one step and no drag: it is decoded at once, and so is every patch of a stroke that there is time for.
    const step = former?.edits !== edits;
    request.ask({ ...settings, edits }, { delayMs: fast || step ? 0 : pauseMs, finishRunning: fast || step });
  });
}

/** Shows the stages of a request as long as its answer is waited for. */
function showProgress(inspector: Inspector): (progress: Progress) => void {
  return (progress) => {
    if (inspector.stale.peek()) inspector.reconstructing.value = progress;
  };
}

function followAttention(
  inspector: Inspector,
  analyses: Analyses,
  needed: () => boolean,
  fail: (error: unknown) => void,
): void {
  const request = new LatestRequest(
    (choice: AttentionRequest, token) => analyses.attention(choice, { token }),
    (attention) => (inspector.attention.value = attention),
    fail,
  );
  effect(() => {
    const model = inspector.tokenization.value?.model;
    if (model === undefined || !hasPart(model, 'attention')) {
      request.stop();
      return;
    }
    if (!needed()) return;
    const choice = { tile: inspector.tile.value, layer: inspector.layer.value, head: inspector.head.value };
    request.ask(choice, { delayMs: 0, finishRunning: false });
  });
}

/** Changes of the look are told when they pause. */
const rememberMs = 400;

/** Tells the host how the page looks, so that the next image looks the same. A page that was not changed tells nothing. */
function followView(inspector: Inspector, connection: MessageConnection): void {
  let known: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const view = inspector.look.value;
    if (inspector.document.value === undefined) return;
    known ??= view;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (view === known) return;
      known = view;
      void connection.sendNotification(protocol.rememberView, { view });
    }, rememberMs);
  });
}

/** The menu of models, anew whenever a tokenization begins or ends: settings may have changed, folders may be gone. */
function followModels(inspector: Inspector, connection: MessageConnection, fail: (error: unknown) => void): void {
  const kind = computed(() => inspector.phase.value.kind);
  kind.subscribe(() => {
    connection.sendRequest(protocol.models).then((menu) => (inspector.models.value = menu), fail);
  });
}
