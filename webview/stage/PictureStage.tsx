import type { ReadonlySignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Scene } from '../canvas/painter';
import { ColourBar, SwipeHandle, ZoomControls } from './overPicture';
import { movedFocus, StageController, type StagePicture } from './stageController';
import { StageMessages } from './StageMessages';
import { experimentKey, useBrush } from './pictureInput';
import { useServices } from '../state/context';
import type { Inspector } from '../state/inspector';
import { codecNames } from '../../src/method/anchors';
import { shownGrid } from '../../src/method/patch';

/** Names of the pictures left and right of the swipe line; undefined where there is none. */
function ownNames({ view, anchor, hasOriginal }: Inspector): readonly [left: string, right: string] | undefined {
  // Where the original was not found, the picture of the unedited tokens stands in for it.
  if (view.value === 'swipe') return [hasOriginal.value ? 'original' : 'unedited', 'reconstruction'];
  if (view.value === 'anchor' && anchor.value !== undefined) return ['reconstruction', codecNames[anchor.value.codec]];
  return undefined;
}

interface PictureStageProps {
  /** Where there are several. */
  readonly name?: string;
  /** Receives the canvas' scene, for exports. */
  readonly onScene?: (scene: () => Scene | undefined) => void;
  /** The picture right of the swipe line in place of this one, and the names of the two. */
  readonly other?: StagePicture & {
    readonly names: readonly [left: string, right: string];
    /** True if both are of one photograph. */
    readonly onOnePhotograph: ReadonlySignal<boolean>;
  };
  /** True if patches can be forced and codes replaced here. */
  readonly experimental?: boolean;
  /** More that lies over it. */
  readonly children?: ComponentChildren | ((controller: StageController) => ComponentChildren);
}

/** The picture with its overlay, and what lies over it: colour bar, swipe line, zoom, progress, failures. */
export function PictureStage({
  name = 'Picture',
  onScene,
  other,
  experimental = false,
  children,
}: PictureStageProps): JSX.Element {
  const services = useServices();
  const { inspector, layers, theme, session } = services;
  const experiments = experimental ? session.experiments : undefined;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [controller, setController] = useState<StageController>();
  useEffect(() => {
    if (canvas.current === null) return undefined;
    const shown = { inspector, layers, experiments };
    const created = new StageController(canvas.current, shown, theme, other, other?.onOnePhotograph);
    setController(created);
    onScene?.(() => created.scene.peek());
    return () => created.dispose();
    // The controller follows what changes by itself.
  }, [inspector, layers, theme, other?.inspector]);
  useBrush(controller, experiments);
  const brushing = experiments !== undefined && experiments.tool.value !== 'inspect';
  const swiped = other?.names ?? ownNames(inspector);
  const empty = inspector.picture.value === undefined;
  return (
    <section class="stage" aria-label={name}>
      <canvas
        ref={canvas}
        class={empty ? 'picture empty' : brushing ? 'picture brushing' : 'picture'}
        tabIndex={empty ? -1 : 0}
        role="application"
        aria-roledescription="patch map"
        aria-label={`Patches. Arrow keys move between patches, Enter pins one, plus and minus zoom, 0 fits, 1 shows 100 %.${
          experiments === undefined ? '' : ' K keeps, D drops and F frees the patch; the menu key has more.'
        }`}
        data-testid="canvas"
        onPointerMove={(event) => {
          if (event.buttons === 0) inspector.hover(controller?.patchAt(event.offsetX, event.offsetY));
        }}
        onPointerLeave={(event) => {
          // The keyboard may still be at a patch.
          if (!event.currentTarget.matches(':focus-visible')) inspector.pointing.value = false;
        }}
        onBlur={() => (inspector.pointing.value = false)}
        onClick={(event) => {
          if (brushing) return;
          // d3-zoom swallows the click that ends a drag.
          const patch = controller?.patchAt(event.offsetX, event.offsetY);
          if (patch !== undefined) inspector.togglePin(patch);
        }}
        onKeyDown={(event) => {
          if (controller !== undefined && onKey(event, controller)) event.preventDefault();
        }}
      />
      {controller !== undefined && !empty && (
        <>
          {swiped && <SwipeHandle controller={controller} names={swiped} />}
          <StandIn />
          <ColourBar />
          <ZoomControls controller={controller} />
        </>
      )}
      <StageMessages />
      {typeof children !== 'function' ? children : controller !== undefined && !empty && children(controller)}
    </section>
  );

  function onKey(event: KeyboardEvent, stage: StageController): boolean {
    if (experiments !== undefined && experimentKey(event, services, experiments, stage)) return true;
    const picture = inspector.picture.peek();
    if (picture === undefined || event.altKey || event.metaKey) return false;
    // Of the editor's own Ctrl shortcuts only those to the ends of the grid mean the picture.
    if (event.ctrlKey && event.key !== 'Home' && event.key !== 'End') return false;
    const focused = inspector.focused.peek();
    switch (event.key) {
      case '0':
        stage.fit();
        return true;
      case '1':
        stage.actualSize();
        return true;
      case '+':
      case '=':
        stage.zoomBy(1.5);
        return true;
      case '-':
        stage.zoomBy(1 / 1.5);
        return true;
      case 'Escape':
        // First what holds the card, then the card.
        if (!inspector.pinned.peek()) inspector.pointing.value = false;
        inspector.pinned.value = false;
        return true;
      case 'Enter':
      case ' ':
        if (focused !== undefined) inspector.togglePin(focused);
        return true;
      default: {
        const { grid } = picture.image;
        const target = movedFocus(focused, grid, shownGrid(picture.image, picture.model), event.key, event.ctrlKey);
        if (target === undefined) return false;
        inspector.focused.value = target;
        inspector.pointing.value = true;
        stage.reveal(target);
        return true;
      }
    }
  }
}

/** Says so where the original stands in for a reconstruction that is still to come. */
function StandIn(): JSX.Element | null {
  const { inspector } = useServices();
  if (inspector.view.value === 'original' || inspector.reconstruction.value !== undefined) return null;
  return (
    <span class="stand-in" data-testid="stand-in">
      {inspector.hasOriginal.value ? 'original' : 'unedited'}{' '}
      {inspector.stopped.value ? '· not reconstructed' : '· reconstructing…'}
    </span>
  );
}
