import type { JSX } from 'preact';
import { useId } from 'preact/hooks';

interface SegmentedProps<T extends string> {
  readonly label: string;
  readonly options: readonly { readonly value: T; readonly label: string; readonly title?: string }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
  /** Test ids are `<testId>-<value>`. */
  readonly testId: string;
}

/** One of a few, all visible: native radio buttons (arrow keys, one tab stop) drawn as a segmented bar. */
export function Segmented<T extends string>(props: SegmentedProps<T>): JSX.Element {
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend class="visually-hidden">{props.label}</legend>
      {props.options.map(({ value, label, title }) => (
        <label key={value} class="segment" data-testid={`${props.testId}-${value}`} title={title}>
          <input
            type="radio"
            class="visually-hidden"
            name={name}
            value={value}
            checked={value === props.value}
            onChange={() => props.onChange(value)}
          />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}
