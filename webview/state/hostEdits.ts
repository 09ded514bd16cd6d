import { effect } from '@preact/signals';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import type { Experiments } from './experiments';
import type { Inspector } from './inspector';
import { historyOf, keyOfEdits, type Edits } from '../../src/method/edits';
import * as protocol from '../../src/protocol/document';

/** Characters of a name that the host takes. */
const mostLabel = 200;

/**
 * Keeps the edits of a token file in step with the host, which has VS Code undo, save and back them up: what the user does here is told
 * once, a stroke at its end, and what VS Code does is taken over.
 */
export function followHostEdits(inspector: Inspector, experiments: Experiments, connection: MessageConnection): void {
  /** The edits that the host has; undefined unless it keeps them. */
  let known: string | undefined;
  let seen: unknown;
  /** What was told and is not confirmed: the host tells all pages of it, and this one may be further by then. */
  let told: readonly string[] = [];
  const adopt = (edits: Edits): void => {
    known = keyOfEdits(edits);
    // VS Code knows the way back.
    if (keyOfEdits(inspector.history.peek().present) !== known) inspector.history.value = historyOf(edits);
  };
  connection.onNotification(protocol.edited, (edits) => {
    const [next, ...others] = told;
    if (next === keyOfEdits(edits)) {
      told = others;
      return;
    }
    // Something else came first, or what was told was refused.
    told = [];
    adopt(edits);
  });
  effect(() => {
    const tokenization = inspector.tokenization.value;
    const { present, past } = inspector.history.value;
    if (tokenization !== seen) {
      seen = tokenization;
      known = undefined;
      if (tokenization?.origin?.edits) adopt(tokenization.origin.edits);
      return;
    }
    if (experiments.stroking.value || known === undefined || keyOfEdits(present) === known) return;
    known = keyOfEdits(present);
    told = [...told, known];
    const label = (past.at(-1)?.label ?? '').slice(0, mostLabel);
    void connection.sendNotification(protocol.edit, { edits: present, label });
  });
}
