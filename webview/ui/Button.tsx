import type { ComponentChildren, JSX } from 'preact';

interface ButtonProps {
  readonly children: ComponentChildren;
  readonly onPress: () => void;
  readonly appearance?: 'primary' | 'secondary';
  readonly testId?: string;
  readonly title?: string;
}

/** A push button in VS Code's own look. */
export function Button({ children, onPress, appearance = 'secondary', testId, title }: ButtonProps): JSX.Element {
  return (
    <vscode-button appearance={appearance} onClick={onPress} data-testid={testId} title={title}>
      {children}
    </vscode-button>
  );
}
