import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useServices } from '../state/context';
import { aboutHowLong, RemainingTime, stageNames } from '../state/remainingTime';
import { Button, ProgressRing } from '../ui/toolkit';
import type { Progress } from '../../src/protocol/analyses';
import type { StageTimings } from '../../src/method/types';

/** One quiet line: what is being worked on and how long that still takes, else how long the stages took. */
export function Status({ timed = true }: { readonly timed?: boolean }): JSX.Element {
  const { inspector, session } = useServices();
  const phase = inspector.phase.value;
  const reconstructing = inspector.reconstructing.value;
  const choosing = inspector.choosingModel.value && phase.kind === 'ready';
  const stopped = inspector.stopped.value;
  const pending = phase.kind === 'ready' && inspector.stale.value && !stopped;
  const state = choosing ? 'working' : pending ? 'pending' : phase.kind;
  // A released slider is answered too soon for words.
  const long = inspector.reconstruction.value === undefined || reconstructing?.tiles !== undefined;
  const progress = phase.kind === 'working' ? phase.progress : pending ? reconstructing : undefined;
  const left = useRemainingTime(progress);
  return (
    <span class="status" data-testid="status" data-state={state}>
      {state === 'working' && <ProgressRing />}
      {phase.kind === 'working' && (
        <>
          {progressText(phase.progress)}
          {left}
          <Button appearance="icon" testId="cancel" onPress={() => session.cancel()}>
            Cancel
          </Button>
        </>
      )}
      {choosing ? stageNames.load : null}
      {phase.kind === 'ready' &&
        !choosing &&
        (pending && long && reconstructing !== undefined ? (
          <>
            {progressText(reconstructing)}
            {left}
          </>
        ) : (
          timed && <Timings timings={inspector.timings.value} />
        ))}
      {pending && reconstructing?.tiles !== undefined && (
        <>
          <Button appearance="icon" testId="cancel" onPress={() => session.cancel()}>
            Cancel
          </Button>
          {reconstructing.stage === 'rank' && inspector.picture.value?.model.givenOthers !== true && <RankGlobally />}
        </>
      )}
      {stopped && inspector.stale.value && (
        <Button appearance="icon" testId="resume" onPress={() => inspector.resume()}>
          Reconstruct
        </Button>
      )}
    </span>
  );
}

/** A way around what takes minutes for a large picture: every tile is estimated (and, by distortion, decoded) many times more than by this. */
function RankGlobally(): JSX.Element {
  const { inspector } = useServices();
  return (
    <Button
      appearance="icon"
      testId="rank-globally"
      title="Changes the ranking to entropy: the entropies that are known rank the patches at once"
      onPress={() => (inspector.criterion.value = 'entropy')}
    >
      Rank globally
    </Button>
  );
}

function useRemainingTime(progress: Progress | undefined): string {
  const [time] = useState(() => new RemainingTime());
  const ms = time.estimate(progress, performance.now());
  return ms === undefined ? '' : ` · ${aboutHowLong(ms)}`;
}

function progressText(progress: Progress | undefined): string {
  const { stage, tiles } = progress ?? { stage: 'load' };
  if (tiles === undefined) return stageNames[stage];
  // Ranking takes every tile many times.
  if (stage === 'rank') return `${stageNames[stage]} ${Math.floor((100 * tiles.done) / tiles.total)} %`;
  return `${stageNames[stage]} ${tiles.done} of ${tiles.total} tiles`;
}

function Timings({ timings }: { readonly timings: StageTimings }): JSX.Element {
  const shown = (['encode', 'entropy', 'decode'] as const).flatMap((stage) => {
    const ms = timings[stage];
    return ms === undefined ? [] : [`${stage} ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)}`];
  });
  const text = shown.length > 0 ? `${shown.join(' · ')} ms` : '';
  return (
    <span class="timings" title={`Time of each stage: ${text}`}>
      {text}
    </span>
  );
}
