import type { ComponentChildren, JSX } from 'preact';
import { Explanation } from '../plots/Explanation';
import { useServices } from '../state/context';
import { colormapNames } from '../canvas/colormaps';
import type { Overlay, View } from '../state/viewState';
import { compact } from '../ui/media';
import { Range } from '../ui/ownControls';
import { Dropdown, RadioGroup } from '../ui/toolkit';

const viewOptions: readonly { value: View; label: string; title?: string }[] = [
  { value: 'original', label: 'Original' },
  { value: 'reconstruction', label: 'Reconstruction' },
  { value: 'difference', label: 'Difference' },
  { value: 'swipe', label: 'Swipe' },
  {
    value: 'anchor',
    label: 'Codec',
    title: 'The reconstruction, and right of the line the photograph in WebP, AVIF or JPEG at the same bytes',
  },
];

/** In place of an original that was not found. */
const unedited: (typeof viewOptions)[number] = { value: 'original', label: 'Unedited' };

const overlayOptions: readonly { value: Overlay; label: string; title: string }[] = [
  { value: 'priority', label: 'Priority', title: 'The quantity that the filter sorts patches by' },
  { value: 'entropy', label: 'Entropy', title: 'Conditional entropy of every patch, in bits' },
  { value: 'surprisal', label: 'Surprisal', title: 'Bits the actual code takes: −log2 q(z | G)' },
  { value: 'kept', label: 'Kept', title: 'Kept patches outlined, dropped ones dimmed and hatched' },
  { value: 'attention', label: 'Attention', title: 'Attention of the chosen global tokens over patches' },
  {
    value: 'influence',
    label: 'Influence',
    title: 'How much the reconstruction changes when the chosen global tokens are replaced',
  },
  { value: 'none', label: 'Off', title: 'The picture alone' },
];

const colormapOptions = colormapNames.map((name) => ({ value: name, label: name }));

interface ToolbarProps {
  /** Absent: all. */
  readonly views?: readonly View[];
  /** Absent: those of the model. */
  readonly overlays?: readonly Overlay[];
  /** Elements before the choices. */
  readonly children?: ComponentChildren;
  /** Elements after them. */
  readonly after?: ComponentChildren;
}

/** Choices of the canvas: view, overlay, opacity and colour map. */
export function Toolbar({ views, overlays, children, after }: ToolbarProps): JSX.Element {
  const { inspector } = useServices();
  const { hasOriginal } = inspector;
  const offered = overlays ?? inspector.overlays.value;
  const chosen = inspector.chosenOverlay.value;
  const explained = offered.includes(chosen) ? chosen : 'none';
  // A list takes the room of its longest choice alone.
  const Choice = compact.value ? Dropdown : RadioGroup;
  return (
    <div class="toolbar" role="group" aria-label="View and overlay">
      {children}
      <Choice<View>
        label="View"
        testId="view"
        options={viewOptions
          .filter(({ value }) => views?.includes(value) ?? true)
          .filter(({ value }) => value !== 'anchor' || hasOriginal.value)
          .map((option) => (option.value === 'original' && !hasOriginal.value ? unedited : option))}
        value={inspector.view.value}
        onChange={(view) => (inspector.view.value = view)}
      />
      {offered.length > 1 && (
        <Choice<Overlay>
          label="Overlay"
          testId="overlay"
          options={overlayOptions.filter(({ value }) => offered.includes(value))}
          value={offered.includes(chosen) ? chosen : 'none'}
          onChange={(overlay) => (inspector.chosenOverlay.value = overlay)}
        />
      )}
      {explained !== 'none' && <Explanation of={explained} />}
      {after}
      <span class="spacer" />
      <div class="appearance">
        {offered.length > 1 && (
          <label class="opacity" title="Opacity of the overlay">
            <span class="muted">opacity</span>
            <Range
              testId="opacity"
              step={0.05}
              value={inspector.opacity.value}
              valueText={`${Math.round(100 * inspector.opacity.value)} %`}
              onInput={(opacity) => (inspector.opacity.value = opacity)}
            />
          </label>
        )}
        <Dropdown
          label="Colour map"
          testId="colormap"
          options={colormapOptions}
          value={inspector.colormap.value}
          onChange={(colormap) => (inspector.colormap.value = colormap)}
        />
      </div>
    </div>
  );
}
