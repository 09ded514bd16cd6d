/** A picture of the tiny model as a page shows it, and analyses that a test answers one by one. */
import { CancellationToken } from 'vscode-jsonrpc/browser';
import { Inspector } from '../../../../webview/state/inspector';
import { readViewState } from '../../../../webview/state/viewState';
import type { Call } from '../../../../src/protocol/analyses';
import type { InspectedTokenization } from '../../../../src/protocol/document';
import { TatokError } from '../../../../src/method/errors';
import { tinyTokenization } from '../../export/tokenization';

const { reconstruction, ranking, ...rest } = tinyTokenization;
if (ranking === undefined) throw new Error('the tiny tokenization has a ranking');

/** Of the picture under the settings of {@link tokenization}. */
export const reconstructed = { ...reconstruction, ranking };

export const tokenization: InspectedTokenization = {
  ...rest,
  settings: reconstruction.settings,
  provider: { provider: 'cpu', failures: [] },
};

/** The same twice beside each other, as two tiles: 2 rows and 6 columns of patches. */
export const twoTiles: InspectedTokenization = {
  ...tokenization,
  image: {
    ...tokenization.image,
    cropMode: 'tiles',
    width: 48,
    tiles: { rows: 1, columns: 2 },
    grid: { rows: 2, columns: 6 },
    rgb: new Uint8Array(48 * 16 * 3).map((_, i) => (i * 7) % 251),
  },
  tokens: {
    globalCodes: Int32Array.of(1, 5, 2, 4),
    patchCodes: Int32Array.from({ length: 12 }, (_, i) => i % 6),
    otherCodes: [],
    entropyBits: Float32Array.from({ length: 12 }, (_, i) => i / 2),
    surprisalBits: new Float32Array(12),
    expectedCodes: new Float32Array(24),
  },
};

/** As the host sends them: the picture once, then its tokens. */
export function tokenize(inspector: Inspector, { image, ...tokens }: InspectedTokenization = tokenization): void {
  inspector.acceptPicture({ image, model: tokens.model, settings: tokens.settings });
  inspector.accept(tokens);
}

/** @param of whose tokens are there. */
export function inspectorOf(of: InspectedTokenization = tokenization, stored: object = {}): Inspector {
  const inspector = new Inspector(readViewState(stored));
  tokenize(inspector, of);
  return inspector;
}

/** Everything that was to be computed has been. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

export interface Asked<Params, Result> {
  readonly params: Params;
  readonly token: CancellationToken;
  readonly onProgress: Call['onProgress'];
  answer(result: Result): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** An analysis whose requests wait until a test answers them. */
export function asking<Params, Result>(): {
  readonly asked: Asked<Params, Result>[];
  readonly ask: (params: Params, call?: Call) => Promise<Result>;
} {
  const asked: Asked<Params, Result>[] = [];
  const ask = (params: Params, { token = CancellationToken.None, onProgress }: Call = {}): Promise<Result> =>
    new Promise((resolve, reject) => {
      const then = (work: () => void) => {
        work();
        return settled();
      };
      asked.push({
        ...{ params, token, onProgress },
        answer: (result) => then(() => resolve(result)),
        fail: (error) => then(() => reject(error instanceof Error ? error : new Error(String(error)))),
      });
    });
  return { asked, ask };
}

export const cancelled = (): TatokError => new TatokError('cancelled', 'The request was cancelled.');
