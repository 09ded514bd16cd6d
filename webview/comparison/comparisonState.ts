import * as z from 'zod/mini';
import { readViewState, type ViewState } from '../state/viewState';

export const layouts = ['beside', 'swipe'] as const;
export type ComparisonLayout = (typeof layouts)[number];

/** What is of the comparison itself; a field that cannot be read falls back on its own. */
const schema = z.object({
  layout: z.catch(z.enum(layouts), 'beside'),
  swapped: z.catch(z.boolean(), false),
  /** undefined: whether both sides begin with the same ε decides. */
  linked: z.catch(z.optional(z.boolean()), undefined),
});

/** What survives hiding the tab and reloading the window; the host reads which documents are compared. */
export type ComparisonState = z.infer<typeof schema> & { readonly a: SideState; readonly b: SideState };

export type SideState = ViewState & {
  /** The chosen model, as the host named it. */
  readonly model?: string | undefined;
};

export function readComparisonState(stored: unknown): ComparisonState {
  const result = schema.safeParse(stored);
  const side = (name: 'a' | 'b'): ViewState => {
    const value: unknown = typeof stored === 'object' && stored !== null ? Reflect.get(stored, name) : undefined;
    return readViewState(value);
  };
  return { ...(result.success ? result.data : schema.parse({})), a: side('a'), b: side('b') };
}
