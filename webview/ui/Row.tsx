import type { ComponentChildren, JSX } from 'preact';

/** A name and its value on one line of a definition list. */
export function Row({
  name,
  children,
}: {
  readonly name: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="row">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
