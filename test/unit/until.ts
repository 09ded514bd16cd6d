/** Not the one that a test may have replaced by a fake. */
const { setTimeout: later } = globalThis;

/** Waits for the work of another process or of a later turn, however slow the machine is; only the test's own time limit ends it. */
export async function until(condition: () => unknown): Promise<void> {
  while ((await condition()) !== true) await new Promise((resolve) => later(resolve, 5));
}
