import type { JSX } from 'preact';

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly digits: number;
  readonly onChange: (value: number) => void;
  readonly testId?: string;
}

/** A native number field; what is not a number in range is put back when the field is left. */
export function NumberField(props: NumberFieldProps): JSX.Element {
  return (
    <input
      type="number"
      class="number"
      aria-label={props.label}
      data-testid={props.testId}
      min={props.min}
      max={props.max}
      step={props.step}
      value={props.value.toFixed(props.digits)}
      onChange={(event) => {
        const value = event.currentTarget.valueAsNumber;
        if (value >= props.min && value <= props.max) props.onChange(value);
        event.currentTarget.value = props.value.toFixed(props.digits);
      }}
    />
  );
}
