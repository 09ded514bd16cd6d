import { TatokError } from '../../src/method/errors';

/** The TatokError that something throws or rejects with; anything else fails the test. */
export async function refusalOf(work: () => unknown): Promise<TatokError> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    if (error instanceof TatokError) return error;
    throw error;
  }
  throw new Error(`expected a TatokError, got ${JSON.stringify(result)}`);
}
