import type { JSX } from 'preact';
import type { StageController } from './stageController';

/** Where the zoom stands, and its two fixed points. */
export function ZoomControls({ controller }: { readonly controller: StageController }): JSX.Element {
  const percent = Math.round(100 * controller.transform.value.k);
  return (
    <div class="zoom" role="group" aria-label="Zoom">
      <button type="button" title="Zoom out (−)" aria-label="Zoom out" onClick={() => controller.zoomBy(1 / 1.5)}>
        −
      </button>
      <span class="percent" data-testid="zoom">
        {percent} %
      </span>
      <button type="button" title="Zoom in (+)" aria-label="Zoom in" onClick={() => controller.zoomBy(1.5)}>
        +
      </button>
      <button type="button" title="Whole picture (0)" data-testid="fit" onClick={() => controller.fit()}>
        fit
      </button>
      <button
        type="button"
        title="One image pixel per screen pixel (1)"
        data-testid="actual-size"
        onClick={() => controller.actualSize()}
      >
        1:1
      </button>
    </div>
  );
}
