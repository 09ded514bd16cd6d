import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { max } from 'd3-array';
import { mapBitmap } from '../canvas/bitmaps';
import { useServices } from '../state/context';
import type { ColormapName } from '../canvas/colormaps';
import { low, stacked } from '../ui/media';
import { Fold, Splitter } from '../ui/ownControls';
import { Button, Dropdown } from '../ui/toolkit';
import { hasPart } from '../../src/method/parts';
import { streamOf } from '../../src/method/streams';
import type { AttentionChoice } from '../../src/method/types';

/** Least and greatest height of the strip, CSS pixels. */
const heights = { min: 76, max: 600 } as const;

/** Attention or influence of all K global tokens at a glance; pressing one shows it large. */
export function GlobalTokens(): JSX.Element {
  const { inspector } = useServices();
  const influence = inspector.overlay.value === 'influence';
  const model = inspector.picture.value?.model;
  const attention = model !== undefined && hasPart(model, 'attention');
  const { strip, stripHeight } = inspector.arrangement.value;
  const open = strip ?? (stacked.value || !low.value);
  const resizable = open && !stacked.value;
  return (
    <section
      class="panel globals"
      aria-labelledby="globals"
      style={resizable && stripHeight !== undefined ? { height: `${stripHeight}px` } : undefined}
    >
      {resizable && (
        <Splitter
          label="Height of the global tokens"
          testId="strip-height"
          sets="height"
          {...heights}
          onResize={(height) => inspector.arrange({ stripHeight: height })}
          onReset={() => inspector.arrange({ stripHeight: undefined })}
        />
      )}
      <div class="title-line">
        <Fold
          id="globals"
          title={`Global tokens · ${influence ? 'influence' : attention ? 'attention' : 'codes'}`}
          open={open}
          onToggle={(to) => inspector.arrange({ strip: to })}
        />
        <Isolated />
        <span class="spacer" />
        {influence ? <InfluenceProgress /> : attention && open && <AttentionChoices />}
      </div>
      {open && (influence ? <InfluenceThumbnails /> : <AttentionThumbnails />)}
    </section>
  );
}

/** How many maps are there, and the way out of computing the others. */
export function InfluenceProgress(): JSX.Element | null {
  const { inspector, session } = useServices();
  const { influence } = session;
  const count = inspector.picture.value?.model.globalTokens ?? 0;
  const known = influence.stale.value ? 0 : influence.maps.value.size;
  if (!influence.computing.value && !influence.stopped.value) return null;
  return (
    <>
      <span class="muted" role="status" data-testid="influence-progress">
        {known} of {count}
      </span>
      {influence.computing.value ? (
        <Button testId="influence-cancel" onPress={() => influence.cancel()}>
          Cancel
        </Button>
      ) : (
        <Button testId="influence-continue" onPress={() => influence.resume()}>
          Continue
        </Button>
      )}
    </>
  );
}

/** Layer and head whose attention is shown. */
export function AttentionChoices(): JSX.Element {
  const { inspector } = useServices();
  const model = inspector.picture.value?.model;
  return (
    <>
      <Dropdown
        plain
        label="Attention layer"
        testId="layer"
        options={choices('layer', model?.attentionLayers ?? 0)}
        value={String(inspector.layer.value)}
        onChange={(value) => (inspector.chosenLayer.value = parse(value))}
      />
      <Dropdown
        plain
        label="Attention head"
        testId="head"
        options={choices('head', model?.attentionHeads ?? 0)}
        value={String(inspector.head.value)}
        onChange={(value) => (inspector.chosenHead.value = parse(value))}
      />
    </>
  );
}

function choices(name: string, count: number): { value: string; label: string }[] {
  const numbered = Array.from({ length: count }, (_, i) => ({ value: String(i), label: `${name} ${i + 1}` }));
  return [...numbered, { value: 'mean', label: `${name} mean` }];
}

function parse(value: string): AttentionChoice {
  return value === 'mean' ? 'mean' : Number(value);
}

function Isolated(): JSX.Element {
  const { inspector } = useServices();
  const tokens = inspector.isolatedTokens.value;
  const text =
    tokens.length === 0
      ? 'mean of all'
      : tokens.length === 1
        ? `token ${tokens[0] ?? 0}`
        : `mean of ${tokens.join(', ')}`;
  return (
    <span class="muted isolated" data-testid="isolated">
      {text}
    </span>
  );
}

/** Each token on its own scale: shapes are what is compared here. */
function AttentionThumbnails(): JSX.Element {
  const { inspector } = useServices();
  const map = inspector.shownAttention.value;
  const patches = (map?.region.rows ?? 0) * (map?.region.columns ?? 0);
  const rowOf = (token: number): Float32Array | undefined =>
    map?.weights.subarray(token * patches, (token + 1) * patches);
  return <Thumbnails rowOf={rowOf} />;
}

/** All tokens on one scale: how much depends on each is what is compared here. */
function InfluenceThumbnails(): JSX.Element {
  const { session } = useServices();
  const maps = session.influence.maps.value;
  const most = max(maps.values(), (map) => max(map)) ?? 1;
  return <Thumbnails rowOf={(token) => maps.get(token)} most={most} />;
}

interface ThumbnailsProps {
  readonly rowOf: (token: number) => Float32Array | undefined;
  /** Value of the last colour; each row's own greatest when absent. */
  readonly most?: number;
}

/**
 * A group of toggle buttons with one tab stop: arrow keys walk, Enter or Space isolates, with Shift adds. They are the browser's own,
 * as the toolkit's buttons hold text and are a tab stop each.
 */
function Thumbnails({ rowOf, most }: ThumbnailsProps): JSX.Element {
  const { inspector } = useServices();
  const [current, setCurrent] = useState(0);
  const strip = useRef<HTMLDivElement>(null);
  const count = inspector.picture.value?.model.globalTokens ?? 0;
  const codes = inspector.tokenization.value?.tokens.globalCodes.subarray(inspector.tile.value * count);
  const model = inspector.picture.value?.model;
  const isLatent = model !== undefined && streamOf(model, 'global')?.codebook.kind === 'continuous';
  const codeOf = (token: number, name: string): string => (isLatent ? '' : `${name}${codes?.[token] ?? 0}`);

  const walk = (event: KeyboardEvent): void => {
    const buttons = [...(strip.current?.querySelectorAll('button') ?? [])];
    const columns = buttons.filter((button) => button.offsetTop === buttons[0]?.offsetTop).length;
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -current,
      End: count - 1 - current,
    };
    const step = steps[event.key];
    const target = current + (step ?? 0);
    if (step === undefined || target < 0 || target >= count) return;
    event.preventDefault();
    setCurrent(target);
    buttons[target]?.focus();
  };

  return (
    <div
      class="thumbnails"
      ref={strip}
      role="group"
      aria-label="Global tokens"
      onKeyDown={walk}
      data-testid="thumbnails"
    >
      {Array.from({ length: count }, (_, token) => (
        <button
          key={token}
          type="button"
          class="thumbnail"
          tabIndex={token === Math.min(current, count - 1) ? 0 : -1}
          aria-pressed={inspector.isolatedTokens.value.includes(token)}
          aria-label={`Global token ${token}${codeOf(token, ', code ')}`}
          title={`Global token ${token}${codeOf(token, ' · code ')}\nShift-click adds`}
          data-testid={`global-${token}`}
          onClick={(event) => {
            setCurrent(token);
            inspector.isolate(token, event.shiftKey);
          }}
        >
          <Thumbnail
            weights={rowOf(token)}
            most={most}
            columns={inspector.tileRegion.value?.columns ?? 1}
            colormap={inspector.colormap.value}
          />
          <span class="index" aria-hidden="true">
            {token}
          </span>
        </button>
      ))}
    </div>
  );
}

interface ThumbnailProps {
  readonly weights: Float32Array | undefined;
  readonly most: number | undefined;
  readonly columns: number;
  readonly colormap: ColormapName;
}

function Thumbnail({ weights, most, columns, colormap }: ThumbnailProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const offset = weights?.byteOffset;
  const buffer = weights?.buffer;
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    if (weights === undefined) {
      context.clearRect(0, 0, context.canvas.width, context.canvas.height);
      return;
    }
    const picture = mapBitmap(weights, columns, [0, most ?? max(weights) ?? 1], colormap);
    context.canvas.width = picture.width;
    context.canvas.height = picture.height;
    context.drawImage(picture, 0, 0);
  }, [buffer, offset, most, columns, colormap]);
  return <canvas ref={canvas} width={1} height={1} aria-hidden="true" />;
}
