import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { max } from 'd3-array';
import { mapBitmap } from '../canvas/bitmaps';
import { useServices } from '../state/context';
import type { ColormapName } from '../state/viewState';
import { Select } from '../ui/Select';
import type { AttentionChoice } from '../../src/tokenizer/types';

/** Attention of all K global tokens at a glance; pressing one shows it large. */
export function GlobalTokens(): JSX.Element {
  const { inspector } = useServices();
  const tokenization = inspector.tokenization.value;
  const model = tokenization?.model;
  return (
    <section class="panel globals" aria-labelledby="globals-title">
      <div class="title-line">
        <h2 id="globals-title">Global tokens · attention</h2>
        <Isolated />
        <span class="spacer" />
        <Select
          plain
          label="Attention layer"
          testId="layer"
          options={choices('layer', model?.attentionLayers ?? 0)}
          value={String(inspector.layer.value)}
          onChange={(value) => (inspector.chosenLayer.value = parse(value))}
        />
        <Select
          plain
          label="Attention head"
          testId="head"
          options={choices('head', model?.attentionHeads ?? 0)}
          value={String(inspector.head.value)}
          onChange={(value) => (inspector.head.value = parse(value))}
        />
      </div>
      <Thumbnails />
    </section>
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

/** A group of toggle buttons with one tab stop: arrow keys walk, Enter or Space isolates, with Shift adds. */
function Thumbnails(): JSX.Element {
  const { inspector } = useServices();
  const [current, setCurrent] = useState(0);
  const strip = useRef<HTMLDivElement>(null);
  const tokenization = inspector.tokenization.value;
  const attention = inspector.attention.value;
  const count = tokenization?.model.globalTokens ?? 0;
  const patches = tokenization?.tokens.patchCodes.length ?? 1;
  const shown = attention?.weights.length === count * patches ? attention : undefined;

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
          aria-label={`Global token ${token}, code ${tokenization?.tokens.globalCodes[token] ?? 0}`}
          title={`Global token ${token} · code ${tokenization?.tokens.globalCodes[token] ?? 0}\nShift-click adds`}
          data-testid={`global-${token}`}
          onClick={(event) => {
            setCurrent(token);
            inspector.isolate(token, event.shiftKey);
          }}
        >
          <Thumbnail
            weights={shown?.weights.subarray(token * patches, (token + 1) * patches)}
            columns={tokenization?.model.grid.columns ?? 1}
            colormap={inspector.colormap.value}
          />
        </button>
      ))}
    </div>
  );
}

interface ThumbnailProps {
  readonly weights: Float32Array | undefined;
  readonly columns: number;
  readonly colormap: ColormapName;
}

/** One token's attention, each on its own scale: shapes are what is compared here. */
function Thumbnail({ weights, columns, colormap }: ThumbnailProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const offset = weights?.byteOffset;
  const buffer = weights?.buffer;
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || weights === undefined) return;
    const picture = mapBitmap(weights, columns, [0, max(weights) ?? 1], colormap);
    context.canvas.width = picture.width;
    context.canvas.height = picture.height;
    context.drawImage(picture, 0, 0);
  }, [buffer, offset, columns, colormap]);
  return <canvas ref={canvas} width={1} height={1} aria-hidden="true" />;
}
