import { signal, type ReadonlySignal } from '@preact/signals';

/** Colours that canvases need; everything else takes the theme from CSS. */
export interface Palette {
  /** Covers dropped patches. */
  readonly background: string;
  /** Hatches dropped patches. */
  readonly foreground: string;
  readonly accent: string;
  readonly highContrast: boolean;
}

export interface Theme {
  readonly palette: ReadonlySignal<Palette>;
}

/** True if the system replaces all colours by few of its own. */
const forcedColours = window.matchMedia('(forced-colors: active)');

/** VS Code announces a theme by changing the body's class and the root's variables; both are watched. */
export function watchTheme(): Theme {
  const palette = signal(readPalette());
  forcedColours.addEventListener('change', () => (palette.value = readPalette()));
  const observer = new MutationObserver(() => (palette.value = readPalette()));
  observer.observe(document.body, { attributes: true, attributeFilter: ['class'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  return { palette };
}

function readPalette(): Palette {
  if (forcedColours.matches) {
    // A canvas keeps its own colours: it takes those that the page was given.
    const { backgroundColor, color, outlineColor } = getComputedStyle(document.body);
    return { background: backgroundColor, foreground: color, accent: outlineColor, highContrast: true };
  }
  const style = getComputedStyle(document.documentElement);
  const variable = (name: string, fallback: string): string => style.getPropertyValue(name).trim() || fallback;
  return {
    background: variable('--vscode-editor-background', '#1f1f1f'),
    foreground: variable('--vscode-editor-foreground', '#cccccc'),
    accent: variable('--vscode-focusBorder', '#0078d4'),
    highContrast:
      document.body.classList.contains('vscode-high-contrast') ||
      document.body.classList.contains('vscode-high-contrast-light'),
  };
}
