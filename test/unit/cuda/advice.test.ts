import { expect, it } from 'vitest';
import { adviceOn, type ProblemKind } from '../../../src/cuda/discovery';
import { requirementsOf } from '../../../src/cuda/requirements';

const kinds: ProblemKind[] = [
  ...(['no-driver', 'driver-too-old', 'no-gpu', 'provider-missing', 'provider-broken'] as const),
  ...(['wrong-major', 'library-missing'] as const),
];

it.each(kinds)('says what to do about %s in one sentence that fits a line of the list', (kind) => {
  const advice = adviceOn({ kind, message: '' }, { requirements: requirementsOf() }) ?? '';
  expect(advice).toMatch(/^[^.]+([.][^ ]+)*[^.]*\.$/);
  expect(advice.length).toBeLessThanOrEqual(90);
});
