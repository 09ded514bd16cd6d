import type { ComponentChildren, JSX } from 'preact';
import { Explanation, type Term } from './Explanation';
import { useServices } from '../state/context';
import { Fold } from '../ui/ownControls';
import type { PlotName } from '../../src/protocol/exports';

interface PlotPanelProps {
  readonly name: PlotName;
  readonly title: string;
  readonly help: Term;
  /** What stands in the line of the title. */
  readonly beside?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A plot under a title that folds it. A folded one keeps its size, so that it is exported as it would be seen. */
export function PlotPanel({ name, title, help, beside, children }: PlotPanelProps): JSX.Element {
  const { inspector } = useServices();
  const { folded } = inspector.arrangement.value;
  const open = !folded.includes(name);
  return (
    <section class={`panel plot-panel ${name}`} aria-labelledby={`${name}-title`}>
      <div class="title-line">
        <Fold
          id={`${name}-title`}
          title={title}
          open={open}
          onToggle={() =>
            inspector.arrange({ folded: open ? [...folded, name] : folded.filter((each) => each !== name) })
          }
        />
        <Explanation of={help} />
        {open && beside}
      </div>
      <div class={open ? undefined : 'folded'}>{children}</div>
    </section>
  );
}
