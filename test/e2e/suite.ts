import { afterAll, beforeAll, describe } from 'vitest';
import { codeServerRunsHere } from '../../scripts/lib/codeServer.mjs';
import { startVSCode, type VSCode, type VSCodeOptions } from './vscode';

/** A group of tests in VS Code, skipped where that does not run. */
export const describeInVSCode = describe.runIf(codeServerRunsHere);

/**
 * Starts VS Code before the tests of the group that calls this, and stops it after them.
 *
 * @param options or what prepares them.
 */
export function useVSCode(
  options: VSCodeOptions | (() => Promise<VSCodeOptions>) = {},
): Omit<VSCode, typeof Symbol.asyncDispose> {
  let vscode: VSCode | undefined;
  beforeAll(async () => {
    vscode = await startVSCode(typeof options === 'function' ? await options() : options);
  });
  afterAll(() => vscode?.[Symbol.asyncDispose]());
  const started = (): VSCode => {
    if (vscode === undefined) throw new Error('VS Code is there once the tests run');
    return vscode;
  };
  return {
    get page() {
      return started().page;
    },
    get folder() {
      return started().folder;
    },
    configure: (settings) => started().configure(settings),
  };
}
