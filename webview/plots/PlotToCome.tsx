import type { JSX } from 'preact';

/** Holds the place of a plot whose data is on its way, so that nothing moves when it comes. */
export function PlotToCome({ height }: { readonly height: number }): JSX.Element {
  return <svg class="plot" height={height} aria-hidden="true" />;
}
