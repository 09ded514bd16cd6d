import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  commit,
  editsSchema,
  force,
  forcedSelection,
  forceOf,
  historyOf,
  isEdited,
  keyOfEdits,
  mostSteps,
  noEdits,
  redo,
  replaceCodes,
  replacementOf,
  requireEdits,
  undo,
  withForced,
  withReplaced,
  type EditHistory,
  type Edits,
  type Force,
} from '../../../src/method/edits';
import { refusalOf } from '../refusal';
import { lacking, tinyModel } from '../model';

const patches = 24;
const own = {
  globalCodes: Int32Array.from({ length: 4 }, (_, i) => i),
  patchCodes: Int32Array.from({ length: patches }, (_, i) => i % 6),
};

const patch = fc.nat(patches - 1);
/** One change by the user. */
const change = fc.oneof(
  fc.record({
    kind: fc.constant('force' as const),
    which: fc.array(patch),
    to: fc.constantFrom<Force>('keep', 'drop', 'free'),
  }),
  fc.record({
    kind: fc.constant('replace' as const),
    codes: fc.array(
      fc.oneof(
        fc.record({ token: fc.constant('patch' as const), index: patch, code: fc.nat(5) }),
        fc.record({ token: fc.constant('global' as const), index: fc.nat(3), code: fc.nat(5) }),
      ),
    ),
  }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(edits: Edits, by: Change): Edits {
  return by.kind === 'force' ? force(edits, by.which, by.to) : replaceCodes(edits, by.codes, own);
}

const changes = fc.array(change, { maxLength: 12 });
const afterAll = (all: readonly Change[]): Edits => all.reduce(changed, noEdits);

describe('edits', () => {
  it('say what a plain list of the last wishes says, in an order that equal edits share', () => {
    fc.assert(
      fc.property(changes, (all) => {
        const [forced, codes] = [new Map<number, Force>(), new Map<string, number>()];
        for (const each of all) {
          if (each.kind === 'force') for (const one of each.which) forced.set(one, each.to);
          else for (const { token, index, code } of each.codes) codes.set(`${token} ${index}`, code);
        }
        const edits = afterAll(all);
        expect(editsSchema.safeParse(edits).success).toBe(true);
        for (let i = 0; i < patches; i++) expect(forceOf(edits, i)).toBe(forced.get(i) ?? 'free');
        const decoded = withReplaced(own, edits);
        own.patchCodes.forEach((code, i) => expect(decoded.patchCodes[i]).toBe(codes.get(`patch ${i}`) ?? code));
        own.globalCodes.forEach((code, i) => expect(decoded.globalCodes[i]).toBe(codes.get(`global ${i}`) ?? code));
        expect(edits.replaced.every(({ token, index, code }) => replacementOf(edits, token, index) === code)).toBe(
          true,
        );
        // A token that has its own code again is not among them.
        expect(isEdited(edits)).toBe(
          [...forced.values()].some((to) => to !== 'free') ||
            !own.patchCodes.every((code, i) => decoded.patchCodes[i] === code) ||
            !own.globalCodes.every((code, i) => decoded.globalCodes[i] === code),
        );
      }),
    );
  });

  it('are the same whatever the order of independent changes', () => {
    const [a, b] = [force(noEdits, [3], 'keep'), force(noEdits, [1], 'drop')];
    expect(keyOfEdits(force(a, [1], 'drop'))).toBe(keyOfEdits(force(b, [3], 'keep')));
    expect(keyOfEdits(a)).not.toBe(keyOfEdits(force(noEdits, [3], 'drop')));
  });

  it('lie over a kept set, and leave one that they do not change as it is', () => {
    const keep = Uint8Array.of(1, 0, 1, 0);
    expect(withForced(keep, noEdits)).toBe(keep);
    const forced = withForced(keep, force(force(noEdits, [1], 'keep'), [0, 3], 'drop'));
    expect([...forced]).toEqual([0, 1, 1, 0]);
    expect([...keep]).toEqual([1, 0, 1, 0]);
    expect(forcedSelection(forced, Float32Array.of(1, 2, 4, 8))).toEqual({ keep: forced, keptTokens: 2, lostBits: 9 });
  });

  it('do not pass where a patch is both kept and dropped, or places are not in order', () => {
    for (const bad of [
      { ...noEdits, forcedKept: [1], forcedDropped: [1] },
      { ...noEdits, forcedKept: [2, 1] },
      { ...noEdits, forcedKept: [1, 1] },
      { ...noEdits, replaced: [1, 0].map((index) => ({ token: 'patch', index, code: 0 })) },
      { ...noEdits, replaced: (['patch', 'global'] as const).map((token) => ({ token, index: 0, code: 0 })) },
    ]) {
      expect(editsSchema.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
    }
  });

  const layout = { grid: tinyModel.grid, tiles: { rows: 1, columns: 1 } };
  const one = { token: 'patch', index: 0, code: 1 } as const;
  const residual = {
    ...tinyModel,
    streams: tinyModel.streams.map((stream) => (stream.role === 'patch' ? { ...stream, shape: [6, 2] } : stream)),
  };
  it.each([
    ['a patch that there is not', force(noEdits, [6], 'keep'), tinyModel, 'there is no patch 6 among 6'],
    [
      'a forced patch where none is dropped',
      force(noEdits, [0], 'drop'),
      lacking.fixedPatches,
      'it drops no single patches',
    ],
    [
      'a code outside the codebook',
      { ...noEdits, replaced: [{ ...one, code: 6 }] },
      tinyModel,
      'the code 6 is not in its codebook of 6',
    ],
    [
      'a token that there is not',
      { ...noEdits, replaced: [{ ...one, token: 'global', index: 2 }] },
      tinyModel,
      'there is no global token 2 among 2',
    ],
    [
      'a stream that there is not',
      { ...noEdits, replaced: [one] },
      lacking.fixedGlobals,
      'its patch codes cannot be replaced',
    ],
    ['residual codes', { ...noEdits, replaced: [one] }, residual, 'its patch codes cannot be replaced'],
  ] as const)('are refused with a sentence: %s', async (_name, edits, model, reason) => {
    const { code, message } = await refusalOf(() => requireEdits(edits, model, layout));
    expect([code, message]).toEqual(['bad-settings', `The experiment does not fit ${model.name}: ${reason}.`]);
  });

  it('of the model and its picture pass', () => {
    const edits = replaceCodes(force(noEdits, [5], 'keep'), [{ token: 'global', index: 1, code: 5 }], own);
    expect(() => requireEdits(edits, tinyModel, layout)).not.toThrow();
  });
});

describe('the history of edits', () => {
  /** The user's wishes, and the edits that a list of all former ones has. */
  const wishes = fc.array(fc.oneof(change, fc.constantFrom('undo' as const, 'redo' as const)), { maxLength: 40 });

  it('goes back and forth along the changes, and forgets what was undone with the next one', () => {
    fc.assert(
      fc.property(wishes, (all) => {
        let history: EditHistory = historyOf(noEdits);
        let [states, at] = [[noEdits], 0];
        for (const [i, wish] of all.entries()) {
          if (wish === 'undo') {
            history = undo(history);
            at = Math.max(0, at - 1);
          } else if (wish === 'redo') {
            history = redo(history);
            at = Math.min(states.length - 1, at + 1);
          } else {
            const now = changed(history.present, wish);
            if (keyOfEdits(now) === keyOfEdits(history.present)) continue;
            history = commit(history, now, String(i));
            states = [...states.slice(0, at + 1), now];
            at++;
          }
          expect(history.present).toEqual(states[at]);
          expect([history.past.length, history.future.length]).toEqual([at, states.length - 1 - at]);
        }
      }),
    );
  });

  it('names the change that is taken back and made again', () => {
    const history = commit(commit(historyOf(noEdits), force(noEdits, [1], 'keep'), 'first'), noEdits, 'second');
    const back = undo(history);
    expect([history.past.at(-1)?.label, back.past.at(-1)?.label, back.future[0]?.label]).toEqual([
      'second',
      'first',
      'second',
    ]);
    expect(undo(back).future.map(({ label }) => label)).toEqual(['first', 'second']);
    expect(redo(back)).toEqual(history);
  });

  it('takes no change for one that changes nothing, and remembers a bounded number', () => {
    const none = historyOf(noEdits);
    expect(commit(none, force(noEdits, [1], 'free'), 'nothing')).toBe(none);
    expect([undo(none), redo(none)]).toEqual([none, none]);
    let history = none;
    for (let i = 0; i < mostSteps + 5; i++) history = commit(history, force(noEdits, [i], 'keep'), String(i));
    expect([history.past.length, history.past[0]?.label]).toEqual([mostSteps, '5']);
  });
});
