import {
  provideVSCodeDesignSystem,
  vsCodeBadge,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDivider,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeRadio,
  vsCodeRadioGroup,
  vsCodeTextField,
  type Button as ButtonElement,
  type Checkbox as CheckboxElement,
  type Dropdown as DropdownElement,
  type RadioGroup as RadioGroupElement,
  type TextField as TextFieldElement,
} from '@vscode/webview-ui-toolkit';
import type { HTMLAttributes, JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** Defines the toolkit's elements that this folder uses; nothing else may import the toolkit. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(
    vsCodeBadge(),
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDivider(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeProgressRing(),
    vsCodeRadio(),
    vsCodeRadioGroup(),
    vsCodeTextField(),
  );
}

type Appearance = 'primary' | 'secondary' | 'icon';

declare module 'preact' {
  // The toolkit's elements, as far as they are used here.
  // eslint-disable-next-line @typescript-eslint/no-namespace -- preact finds element types only here
  namespace JSX {
    interface IntrinsicElements {
      'vscode-badge': HTMLAttributes;
      // Of its ARIA attributes the element hands only the label on to the button within; the others are properties.
      'vscode-button': HTMLAttributes<ButtonElement> & {
        appearance: Appearance;
        ariaExpanded?: string;
        ariaHaspopup?: string;
      };
      'vscode-checkbox': HTMLAttributes<CheckboxElement> & { checked: boolean };
      'vscode-divider': HTMLAttributes;
      'vscode-dropdown': HTMLAttributes<DropdownElement> & { disabled: boolean };
      'vscode-option': HTMLAttributes & { value: string };
      'vscode-progress-ring': HTMLAttributes;
      'vscode-radio': HTMLAttributes & { value: string };
      'vscode-radio-group': HTMLAttributes<RadioGroupElement> & { value: string };
      'vscode-text-field': HTMLAttributes<TextFieldElement> & { type: string; value: string; placeholder?: string };
    }
  }
}

interface ButtonProps {
  readonly children: string;
  readonly onPress: () => void;
  /** `icon` has no ground until it is pointed at. */
  readonly appearance?: Appearance;
  /** Name for assistive technology where the text is a sign. */
  readonly label?: string;
  readonly testId?: string;
  readonly title?: string;
}

export function Button({
  children,
  onPress,
  appearance = 'secondary',
  label,
  testId,
  title,
}: ButtonProps): JSX.Element {
  return (
    <vscode-button
      appearance={appearance}
      // The toolkit calls every button without ground an icon unless it has a label.
      aria-label={appearance === 'icon' ? (label ?? children) : label}
      onClick={onPress}
      data-testid={testId}
      title={title}
    >
      {children}
    </vscode-button>
  );
}

interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly title?: string;
}

interface ChoiceProps<T extends string> {
  /** For assistive technology: the place says what is chosen here. */
  readonly label: string;
  readonly options: readonly Choice<T>[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}

interface DropdownProps<T extends string> extends ChoiceProps<T> {
  readonly testId: string;
  /** Without a box until it is pointed at. */
  readonly plain?: boolean;
  readonly title?: string;
  readonly disabled?: boolean;
}

/** Shows the value that it is given, whatever was chosen. */
export function Dropdown<T extends string>(props: DropdownProps<T>): JSX.Element {
  const { options, value } = props;
  const element = useRef<DropdownElement>(null);
  // The element keeps its choice by place when options come or go; other options are another element.
  const key = options.map((option) => `${option.value}\n${option.label}`).join('\n');
  // As a property it would end every walk through the open list at the next rendering.
  useLayoutEffect(() => {
    if (element.current !== null) element.current.value = value;
  }, [key, value]);
  return (
    <vscode-dropdown
      key={key}
      ref={element}
      class={props.plain === true ? 'plain' : undefined}
      aria-label={props.label}
      data-testid={props.testId}
      title={props.title}
      disabled={props.disabled ?? false}
      onKeyDown={(event) => {
        // The element takes Escape for a choice of what was walked to.
        if (event.key === 'Escape') event.currentTarget.value = value;
      }}
      onChange={(event) => {
        const chosen = options.find((option) => option.value === event.currentTarget.value);
        event.currentTarget.value = value;
        if (chosen !== undefined && chosen.value !== value) props.onChange(chosen.value);
      }}
    >
      {options.map((option) => (
        <vscode-option key={option.value} value={option.value} data-testid={`${props.testId}-${option.value}`}>
          {option.label}
        </vscode-option>
      ))}
    </vscode-dropdown>
  );
}

interface RadioGroupProps<T extends string> extends ChoiceProps<T> {
  /** Test ids are `<testId>-<value>`. */
  readonly testId: string;
}

/** One of a few, all visible: radio buttons drawn as the segments of a bar. */
export function RadioGroup<T extends string>({
  label,
  options,
  value,
  onChange,
  testId,
}: RadioGroupProps<T>): JSX.Element {
  return (
    <vscode-radio-group
      aria-label={label}
      value={value}
      onChange={(event) => {
        // It tells of values that it is given as well.
        const chosen = options.find((option) => option.value === event.currentTarget.value);
        if (chosen !== undefined && chosen.value !== value) onChange(chosen.value);
      }}
    >
      {options.map((option) => (
        <vscode-radio
          key={option.value}
          value={option.value}
          data-testid={`${testId}-${option.value}`}
          title={option.title}
        >
          {option.label}
        </vscode-radio>
      ))}
    </vscode-radio-group>
  );
}

interface CheckboxProps {
  readonly children: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly testId: string;
  readonly title: string;
}

export function Checkbox({ children, checked, onChange, testId, title }: CheckboxProps): JSX.Element {
  return (
    <vscode-checkbox
      checked={checked}
      data-testid={testId}
      title={title}
      onChange={(event) => {
        // It tells of the states that it is given as well.
        if (event.currentTarget.checked !== checked) onChange(event.currentTarget.checked);
      }}
    >
      {children}
    </vscode-checkbox>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly digits: number;
  readonly onChange: (value: number) => void;
  readonly testId: string;
}

/** A text field for a number; what is not a number in range is put back when the field is left. */
export function NumberField(props: NumberFieldProps): JSX.Element {
  const { min, max, step, onChange } = props;
  const element = useRef<TextFieldElement>(null);
  // The toolkit has no field for numbers, and hands on to the input within its text field all that makes it one but these.
  useLayoutEffect(() => {
    const input = element.current?.control;
    if (input !== undefined) Object.assign(input, { min, max, step });
  }, [min, max, step]);
  const shown = props.value.toFixed(props.digits);
  return (
    <vscode-text-field
      ref={element}
      type="number"
      data-testid={props.testId}
      value={shown}
      onChange={(event) => {
        const value = Number.parseFloat(event.currentTarget.value);
        if (value >= min && value <= max) onChange(value);
        event.currentTarget.value = shown;
      }}
    >
      {props.label}
    </vscode-text-field>
  );
}

interface TextFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly title?: string;
  readonly onInput: (value: string) => void;
  readonly testId: string;
}

/** A text field that tells of every change. */
export function TextField({ label, value, placeholder, title, onInput, testId }: TextFieldProps): JSX.Element {
  return (
    <vscode-text-field
      type="text"
      class="wide"
      placeholder={placeholder}
      title={title}
      value={value}
      data-testid={testId}
      onInput={(event) => onInput(event.currentTarget.value)}
    >
      {label}
    </vscode-text-field>
  );
}

/** Turns until it is removed; the text beside it names the work. */
export function ProgressRing(): JSX.Element {
  return <vscode-progress-ring aria-hidden="true" class="progress-ring" />;
}

interface BadgeProps {
  readonly children: string;
  readonly testId?: string;
  readonly title?: string;
  /** Assistive technology reads the same elsewhere. */
  readonly unread?: boolean;
}

export function Badge({ children, testId, title, unread = false }: BadgeProps): JSX.Element {
  return (
    <vscode-badge data-testid={testId} title={title} aria-hidden={unread}>
      {children}
    </vscode-badge>
  );
}
