import { computed } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo, useRef, useState, useEffect } from 'preact/hooks';
import type { StageController } from '../stage/stageController';
import { useServices, type Services } from '../state/context';
import { NearestEntries } from './NearestEntries';
import { useFloatingAt } from '../ui/floating';
import { Row } from '../ui/ownControls';
import { Badge, Button } from '../ui/toolkit';
import {
  describePatch,
  describeToken,
  patchFacts,
  patchPlace,
  type PatchFacts,
  type PatchPlace,
} from '../../src/method/patch';

/** All that is known of the focused patch, beside it: while it is pointed at, and longer where it is pinned. */
export function PatchCard({ controller }: { readonly controller: StageController }): JSX.Element {
  const services = useServices();
  const { inspector } = services;
  const patch = useMemo(() => computed(() => focusedPatch(services)), [services]).value;
  const card = useRef<HTMLElement>(null);
  const pinned = inspector.pinned.value;
  const shown = patch !== undefined && (pinned || inspector.pointing.value);
  const box = shown ? controller.boxOf(patch.facts.index) : undefined;
  useFloatingAt(card, box, controller.canvas);
  return (
    <>
      {shown && (
        <section
          ref={card}
          class={pinned ? 'card patch-card pinned' : 'card patch-card'}
          aria-labelledby="readout-title"
          data-testid="readout"
        >
          <Facts {...patch} pinned={pinned} />
        </section>
      )}
      <Announcement text={patch === undefined ? '' : describePatch(patch.facts, patch.place)} />
    </>
  );
}

export interface FocusedPatch {
  readonly facts: PatchFacts;
  /** undefined until the patches are ranked. */
  readonly place: PatchPlace | undefined;
}

/** Facts of the focused patch; undefined without one. */
export function focusedPatch({ inspector, session }: Services): FocusedPatch | undefined {
  const index = inspector.focused.value;
  const tokenization = inspector.tokenization.value;
  const keepRank = inspector.keepRank.value;
  const selected = inspector.selected.value;
  if (index === undefined || !tokenization) return undefined;
  const influence = inspector.overlay.value === 'influence' ? session.influence.shown.value : undefined;
  const place = keepRank && selected && patchPlace(index, keepRank, selected.keep, inspector.ranking.value?.priorities);
  return {
    facts: patchFacts(index, { ...tokenization, tokens: inspector.decoded.value ?? tokenization.tokens }, influence),
    place,
  };
}

function Facts({ facts, place, pinned }: FocusedPatch & { readonly pinned: boolean }): JSX.Element {
  const { inspector } = useServices();
  return (
    <>
      <div class="title-line">
        <h2 id="readout-title">
          Patch ({facts.row}, {facts.column}) · #{facts.index}
        </h2>
        {pinned && <Badge>pinned</Badge>}
        <span class="spacer" />
      </div>
      <dl class="rows">
        {facts.bits && (
          <>
            <Row name="conditional entropy">{facts.bits.entropy.toFixed(2)} bits</Row>
            <Row name="surprisal">
              {facts.bits.surprisal === undefined
                ? 'its code is not in the file'
                : `${facts.bits.surprisal.toFixed(2)} bits`}
            </Row>
            {place?.sortedBy && inspector.criterion.value !== 'entropy' && (
              <Row name="entropy in its round">{place.sortedBy.givenBits.toFixed(2)} bits</Row>
            )}
            {place?.sortedBy?.savedDecibels !== undefined && (
              <Row name="error saved">{decibels(place.sortedBy.savedDecibels)}</Row>
            )}
            {place?.sortedBy && <Row name="priority">{place.sortedBy.priority.toFixed(2)}</Row>}
            <Row name="rank · state">
              {place === undefined ? '–' : `${place.rank} / ${place.patches} · ${place.kept ? 'kept' : 'dropped'}`}
              {facts.edge && <span class="muted"> · edge</span>}
            </Row>
          </>
        )}
        {facts.token && (
          <Row name={facts.token.latent === undefined ? 'code' : 'latent'}>{describeToken(facts.token)}</Row>
        )}
        {facts.token && <NearestEntries patch={facts.index} />}
        {facts.influence !== undefined && <Row name="influence">{facts.influence.toFixed(1)} of 255</Row>}
        {facts.rgb && (
          <Row name="mean RGB">
            <Swatch rgb={facts.rgb} />
            {facts.rgb.join(' ')}
          </Row>
        )}
      </dl>
      {pinned && (
        <div class="buttons">
          <CopyButton text={describePatch(facts, place)} />
        </div>
      )}
    </>
  );
}

function decibels(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)} dB` : 'all of it';
}

function Swatch({ rgb }: { readonly rgb: readonly number[] }): JSX.Element {
  return <span class="swatch" style={{ backgroundColor: `rgb(${rgb.join(' ')})` }} aria-hidden="true" />;
}

function CopyButton({ text }: { readonly text: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <Button testId="copy-patch" title="Copy this patch's values" onPress={() => void copy()}>
      {copied ? 'Copied' : 'Copy'}
    </Button>
  );
}

/** The pointer may cross many patches; only one that it rests on is announced. */
const announceAfterMs = 200;

interface AnnouncementProps {
  readonly text: string;
  readonly testId?: string;
  /** Milliseconds for which the text has to stay the same. */
  readonly afterMs?: number;
}

/** Tells assistive technology of what came to rest: a text that changed since is not said. */
export function Announcement({
  text,
  testId = 'announcement',
  afterMs = announceAfterMs,
}: AnnouncementProps): JSX.Element {
  const [announced, setAnnounced] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setAnnounced(text), afterMs);
    return () => clearTimeout(timer);
  }, [text, afterMs]);
  return (
    <p class="visually-hidden" aria-live="polite" data-testid={testId}>
      {announced}
    </p>
  );
}
