// All that lies over the picture and belongs to it: the legend, the swipe line and the zoom.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { StageController } from './stageController';
import { mapBitmap } from '../canvas/bitmaps';
import type { ColormapName } from '../canvas/colormaps';
import { useServices } from '../state/context';
import type { Legend } from '../state/layers';
import { Button } from '../ui/toolkit';

const steps = 256;
const ramp = Float32Array.from({ length: steps }, (_, i) => 1 - i / (steps - 1));

/** The scale of the colours in its unit, with the focused patch marked; pressing its name changes the scale. */
export function ColourBar(): JSX.Element | null {
  const { inspector, layers } = useServices();
  const images = layers.peered ? 'both images' : 'this image';
  const legend = layers.legend.value;
  if (legend === undefined) return null;
  const [low, high] = legend.domain;
  const fit = inspector.range.value === 'fit';
  const upper = `${legend.open ? '≥ ' : ''}${legend.format(high)} ${legend.unit}`;
  return (
    <div class="colour-bar" data-testid="colour-bar" data-low={low} data-high={high}>
      <span class="end">{upper}</span>
      <div class="ramp" role="img" aria-label={`${legend.title}: colours from ${legend.format(low)} to ${upper}`}>
        <Ramp colormap={inspector.colormap.value} />
        <Marker legend={legend} />
      </div>
      <span class="end">{legend.format(low)}</span>
      <Button
        appearance="icon"
        label={`${fit ? 'fitted' : 'fixed'} colour scale`}
        title={
          fit ? `Scale fitted to ${images}; press for the fixed scale` : `Fixed scale; press to fit it to ${images}`
        }
        testId="range"
        onPress={() => (inspector.range.value = fit ? 'fixed' : 'fit')}
      >
        {fit ? 'fitted' : 'fixed'}
      </Button>
    </div>
  );
}

function Ramp({ colormap }: { readonly colormap: ColormapName }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    canvas.current?.getContext('2d')?.drawImage(mapBitmap(ramp, 1, [0, 1], colormap), 0, 0);
  }, [colormap]);
  return <canvas ref={canvas} width={1} height={steps} aria-hidden="true" />;
}

function Marker({ legend }: { readonly legend: Legend }): JSX.Element | null {
  const { inspector } = useServices();
  const focused = inspector.focused.value;
  const value = focused === undefined ? undefined : legend.valueAt(focused);
  if (value === undefined) return null;
  const [low, high] = legend.domain;
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
  return <span class="marker" style={{ bottom: `${100 * share}%` }} aria-hidden="true" />;
}

interface SwipeHandleProps {
  readonly controller: StageController;
  readonly names: readonly [left: string, right: string];
}

/** The line between two pictures: drag it, or move it with the arrow keys. */
export function SwipeHandle({ controller, names: [leftName, rightName] }: SwipeHandleProps): JSX.Element | null {
  const { inspector } = useServices();
  const frame = controller.frame.value;
  if (frame === undefined) return null;
  const { x, y, k } = controller.transform.value;
  const width = k * frame.imageWidth;
  const share = inspector.swipe.value;
  const move = (to: number): void => {
    inspector.swipe.value = Math.min(1, Math.max(0, to));
  };
  const left = Math.min(frame.width, Math.max(0, x + share * width));
  const top = Math.max(0, y);
  const bottom = Math.min(frame.height, y + k * frame.imageHeight);
  return (
    <>
      <span class="swipe-label left" style={{ transform: `translate(${left}px, ${top}px)` }} aria-hidden="true">
        {leftName}
      </span>
      <span class="swipe-label right" style={{ transform: `translate(${left}px, ${top}px)` }} aria-hidden="true">
        {rightName}
      </span>
      <div
        class="swipe"
        role="slider"
        tabIndex={0}
        aria-label={`Swipe between ${leftName} and ${rightName}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        aria-valuetext={`${Math.round(100 * share)} % ${leftName}`}
        data-testid="swipe"
        style={{ transform: `translate(${left}px, ${top}px)`, height: `${Math.max(0, bottom - top)}px` }}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
          const stage = event.currentTarget.parentElement?.getBoundingClientRect();
          if (stage !== undefined) move((event.clientX - stage.left - x) / width);
        }}
        onKeyDown={(event) => {
          const step = event.shiftKey ? 0.1 : 0.02;
          const targets: Record<string, number> = {
            ArrowLeft: share - step,
            ArrowDown: share - step,
            ArrowRight: share + step,
            ArrowUp: share + step,
            PageDown: share - 0.1,
            PageUp: share + 0.1,
            Home: 0,
            End: 1,
          };
          const target = targets[event.key];
          if (target === undefined) return;
          event.preventDefault();
          move(target);
        }}
      />
    </>
  );
}

/** Where the zoom stands, and its two fixed points. */
export function ZoomControls({ controller }: { readonly controller: StageController }): JSX.Element {
  const percent = Math.round(100 * controller.transform.value.k);
  return (
    <div class="zoom" role="group" aria-label="Zoom">
      <Button appearance="icon" title="Zoom out (−)" label="Zoom out" onPress={() => controller.zoomBy(1 / 1.5)}>
        −
      </Button>
      <span class="percent" data-testid="zoom">
        {percent} %
      </span>
      <Button appearance="icon" title="Zoom in (+)" label="Zoom in" onPress={() => controller.zoomBy(1.5)}>
        +
      </Button>
      <Button appearance="icon" title="Whole picture (0)" testId="fit" onPress={() => controller.fit()}>
        fit
      </Button>
      <Button
        appearance="icon"
        title="One image pixel per screen pixel (1)"
        testId="actual-size"
        onPress={() => controller.actualSize()}
      >
        1:1
      </Button>
    </div>
  );
}
