import type { JSX } from 'preact';

interface SelectProps<T extends string> {
  readonly label: string;
  readonly options: readonly { readonly value: T; readonly label: string }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
  readonly testId?: string;
  /** `plain` has no box until it is pointed at. */
  readonly plain?: boolean;
  readonly title?: string;
  readonly disabled?: boolean;
}

/** A native drop-down that shows the value it is given, whatever was picked; the label is for assistive technology where the place already says what it is. */
export function Select<T extends string>(props: SelectProps<T>): JSX.Element {
  return (
    <span class={props.plain === true ? 'select plain' : 'select'} title={props.title}>
      <select
        aria-label={props.label}
        data-testid={props.testId}
        value={props.value}
        disabled={props.disabled}
        onChange={(event) => {
          const chosen = props.options.find(({ value }) => value === event.currentTarget.value);
          event.currentTarget.value = props.value;
          if (chosen !== undefined) props.onChange(chosen.value);
        }}
      >
        {props.options.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </span>
  );
}
