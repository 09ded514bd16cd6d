import { computed, effect } from '@preact/signals';
import { ResponseError, type MessageConnection } from 'vscode-jsonrpc/browser';
import type { Inspector } from './inspector';
import { detailOf, isCancelled } from '../host/hostError';
import { Influence } from './influence';
import { LatestRequest } from './latestRequest';
import { RateDistortion } from './rateDistortion';
import * as protocol from '../../src/protocol/document';
import type { CropMode, FilterSettings } from '../../src/method/types';

/** A drag has paused when nothing moved for so long; the CPU decodes only then. */
const pauseMs = 120;

/** What the controls can ask of the host. */
export interface Session {
  cancel(): void;
  runAction(action: protocol.FailureAction): void;
  saveDefaults(): Promise<void>;
  /** @param directory of the model to use; null: the host asks for one. */
  chooseModel(directory: string | null): Promise<void>;
  readonly rateDistortion: RateDistortion;
  readonly influence: Influence;
  chooseCropMode(mode: CropMode): void;
}

/** What not every page shows, or not always, and need not be asked for. */
export interface Needs {
  /** Follows the signals it reads. */
  readonly attention: () => boolean;
  readonly models: boolean;
}

/** Connects the inspector's signals with the host: its news become inputs, changed inputs become requests. */
export function startSession(inspector: Inspector, connection: MessageConnection, needs: Needs): Session {
  connection.onNotification(protocol.progressed, (progress) => {
    inspector.phase.value = { kind: 'working', progress };
  });
  connection.onNotification(protocol.reconstructing, (progress) => {
    if (inspector.stale.peek()) inspector.reconstructing.value = progress;
  });
  connection.onNotification(protocol.pictured, (picture) => inspector.acceptPicture(picture));
  connection.onNotification(protocol.tokenized, (tokenization) => inspector.accept(tokenization));
  connection.onNotification(protocol.failed, (failure) => {
    inspector.phase.value = { kind: 'failed', failure };
  });
  connection.listen();

  const notify = (failed: string) => (error: unknown) => {
    if (isCancelled(error)) {
      inspector.reconstructing.value = undefined;
      return;
    }
    inspector.notice.value = { message: `${failed}: ${sentence(error)}`, actions: ['showOutput'] };
  };

  // In the order in which the host is to answer: each of a large picture takes longer than the one before.
  followAttention(inspector, connection, needs.attention, notify('Attention could not be read'));
  followRanking(inspector, connection, notify('The patches could not be ranked'));
  followReconstruction(inspector, connection, notify('The reconstruction could not be updated'));

  connection.sendRequest(protocol.ready, { cropMode: inspector.chosenCropMode.peek() }).then(
    (document) => inspector.open(document),
    (error: unknown) => {
      inspector.phase.value = { kind: 'failed', failure: { message: sentence(error), actions: ['showOutput'] } };
    },
  );

  // Nothing is answered before a page has said that it is ready.
  if (needs.models) followModels(inspector, connection, notify('The models could not be listed'));

  return {
    rateDistortion: new RateDistortion(
      inspector,
      (request, token) => connection.sendRequest(protocol.measure, request, token),
      notify('The rate–distortion curve could not be measured'),
    ),
    influence: new Influence(
      inspector,
      (request, token) => connection.sendRequest(protocol.influence, request, token),
      notify('The influence of global tokens could not be computed'),
    ),
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
    chooseModel: async (directory) => {
      inspector.choosingModel.value = true;
      try {
        if (await connection.sendRequest(protocol.chooseModel, { directory })) inspector.notice.value = undefined;
      } catch (error) {
        inspector.notice.value = { message: withAdvice(error), actions: ['showOutput'] };
      }
      inspector.choosingModel.value = false;
    },
    chooseCropMode: (mode) => {
      inspector.chosenCropMode.value = mode;
      inspector.phase.value = { kind: 'working', progress: undefined };
      void connection.sendNotification(protocol.chooseCropMode, mode);
    },
    saveDefaults: () =>
      connection
        .sendRequest(protocol.saveDefaults, inspector.settings.value)
        .catch(notify('The settings could not be saved')),
  };
}

/** Asks for the ranking under another β or ranking criterion, or of other tokens; ε and budget have no part in it. */
function followRanking(inspector: Inspector, connection: MessageConnection, fail: (error: unknown) => void): void {
  const request = new LatestRequest(
    async (settings: FilterSettings, token) => ({
      edgePriority: settings.edgePriority,
      criterion: settings.ranking,
      ranking: await connection.sendRequest(protocol.rank, settings, token),
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
    const [edgePriority, ranking] = [inspector.edgePriority.value, inspector.criterion.value];
    const first = inspector.ranked.peek() === undefined;
    request.ask(
      { ...inspector.settings.peek(), edgePriority, ranking },
      { delayMs: first ? 0 : pauseMs, finishRunning: false },
    );
  });
}

/** Asks for a new reconstruction when the one shown is stale: at once on a GPU, after the drag pauses on the CPU. */
function followReconstruction(
  inspector: Inspector,
  connection: MessageConnection,
  fail: (error: unknown) => void,
): void {
  const request = new LatestRequest(
    (settings: FilterSettings, token) => connection.sendRequest(protocol.reconstruct, settings, token),
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
    // What the host reconstructs is filtered by the ranking.
    if (inspector.awaitsRanking.value) {
      request.stop();
      return;
    }
    const first = inspector.reconstruction.peek() === undefined;
    const fast = tokenization.provider.provider !== 'cpu';
    request.ask(settings, { delayMs: fast || first ? 0 : pauseMs, finishRunning: fast });
  });
}

function followAttention(
  inspector: Inspector,
  connection: MessageConnection,
  needed: () => boolean,
  fail: (error: unknown) => void,
): void {
  const request = new LatestRequest(
    (choice: protocol.AttentionRequest, token) => connection.sendRequest(protocol.attention, choice, token),
    (attention) => (inspector.attention.value = attention),
    fail,
  );
  effect(() => {
    if ((inspector.tokenization.value?.model.globalTokens ?? 0) === 0) {
      request.stop();
      return;
    }
    if (!needed()) return;
    const choice = { tile: inspector.tile.value, layer: inspector.layer.value, head: inspector.head.value };
    request.ask(choice, { delayMs: 0, finishRunning: false });
  });
}

/** The menu of models, anew whenever a tokenization begins or ends: settings may have changed, folders may be gone. */
function followModels(inspector: Inspector, connection: MessageConnection, fail: (error: unknown) => void): void {
  const kind = computed(() => inspector.phase.value.kind);
  kind.subscribe(() => {
    connection.sendRequest(protocol.models).then((menu) => (inspector.models.value = menu), fail);
  });
}

function sentence(error: unknown): string {
  if (error instanceof ResponseError || error instanceof Error) return error.message;
  return String(error);
}

/** What went wrong and what the user can do, where the host knows. */
function withAdvice(error: unknown): string {
  const advice = detailOf(error, 'advice');
  return advice === undefined ? sentence(error) : `${sentence(error)} ${advice}`;
}
