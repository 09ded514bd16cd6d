import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { mapBitmap } from '../canvas/bitmaps';
import type { Legend } from '../state/layers';
import { useServices } from '../state/context';
import type { ColormapName } from '../canvas/colormaps';
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
