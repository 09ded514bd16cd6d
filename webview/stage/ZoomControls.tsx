import type { JSX } from 'preact';
import type { StageController } from './stageController';
import { Button } from '../ui/toolkit';

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
