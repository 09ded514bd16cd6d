import { computed, signal, type ReadonlySignal } from '@preact/signals';

/** True while the page fits a query. */
function media(query: string): ReadonlySignal<boolean> {
  const list = window.matchMedia(query);
  const matches = signal(list.matches);
  list.addEventListener('change', () => (matches.value = list.matches));
  return matches;
}

const narrow = media('(max-width: 760px)');
const tiny = media('(max-width: 520px)');

/** True where the panel is low, as it is above an open terminal: the picture then comes before all that can be unfolded. */
export const low = media('(max-height: 560px)');

/** True where there is no room for choices side by side: they are lists then. */
export const compact = computed(() => narrow.value || low.value);

/** True where figures and plots stand below the picture. Beside it they take less of a panel that is low, or wider than high. */
export const stacked = computed(() => tiny.value || (narrow.value && !low.value));
