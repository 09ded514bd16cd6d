import { provideVSCodeDesignSystem, vsCodeButton, vsCodeProgressRing } from '@vscode/webview-ui-toolkit';
import type { HTMLAttributes } from 'preact';

declare module 'preact' {
  // The toolkit's elements, as far as they are used here.
  // eslint-disable-next-line @typescript-eslint/no-namespace -- preact finds element types only here
  namespace JSX {
    interface IntrinsicElements {
      'vscode-button': HTMLAttributes<HTMLElement> & { appearance?: 'primary' | 'secondary' | 'icon' };
      'vscode-progress-ring': HTMLAttributes<HTMLElement>;
    }
  }
}

/** Defines the toolkit's elements that this folder uses; nothing else may import the toolkit. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(vsCodeButton(), vsCodeProgressRing());
}
