import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Button } from '../ui/toolkit';

/** The image before and the one after in the folder, in place of this one and with everything as it is here. */
export function Neighbours(): JSX.Element {
  const { session } = useServices();
  return (
    <span class="neighbours" role="group" aria-label="Images of the folder">
      <Button
        appearance="icon"
        label="Previous image of the folder"
        testId="previous-image"
        title="Previous image of the folder (P)"
        onPress={() => void session.openNeighbour('previous')}
      >
        ‹
      </Button>
      <Button
        appearance="icon"
        label="Next image of the folder"
        testId="next-image"
        title="Next image of the folder (N)"
        onPress={() => void session.openNeighbour('next')}
      >
        ›
      </Button>
    </span>
  );
}
