import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TatokError } from '../../../src/method/errors';
import { examine, type Contract } from '../../../src/protocol/contract';
import {
  analysisRequests,
  checkAnalysisAnswer,
  checkAnswer,
  checkedAnalysis,
  fromClient,
  fromModelTablePage,
  fromDatasetPage,
  fromPage,
  fromProcess,
} from '../../../src/protocol/schemas';
import { tinyTokenization } from '../export/tokenization';
import { tinyModel } from '../model';

const filter = { lossRate: 0.2, edgePriority: 1.5, budget: 'reference', ranking: 'sequential' };
const choice = { directory: '/models/tiny', providers: ['auto', 'cpu'], cudaDevice: 0, cudaMemoryLimit: 0.5 };
const file = () => Uint8Array.of(1, 2, 3);
const grid = { rows: 2, columns: 3 };
const geometry = {
  ...{ sourceWidth: 9, sourceHeight: 8, format: 'png', page: { unit: 'frame', number: 1, count: 2 }, cropMode: 'fit' },
  ...{ crop: { left: 1, top: 0, width: 5, height: 4 }, width: 5, height: 3, tiles: { rows: 1, columns: 2 }, grid },
  reduction: 2,
};
const tokens = () => ({
  ...{ globalCodes: new Int32Array(4), patchCodes: new Int32Array(6), entropyBits: new Float32Array(6) },
  ...{ surprisalBits: new Float32Array(6), expectedCodes: new Float32Array(12), otherCodes: [new Int32Array(2)] },
  keep: new Uint8Array(6),
});
const tokensToDecode = () => ({
  ...{ width: 24, height: 16, globalCodes: new Int32Array(2), patchCodes: new Int32Array(6), keep: new Uint8Array(6) },
  ranking: 'distortion',
});
const provider = { provider: 'cpu', failures: [{ provider: 'cuda', reason: 'There is none.' }] };
const loaded = { model: tinyModel, provider };
const opened = { ...loaded, tokens: tokens(), manifest: '{}', timings: { read: 0.5, decode: 1 } };
const tiles = { done: 0, total: 3 };

const replaced = [{ token: 'patch', index: 2, code: 5 }];

/** True for keys of a message that may be absent. */
type Optional = (path: string) => boolean;
const only =
  (...optional: string[]): Optional =>
  (path) =>
    optional.includes(path);

/** A sequence has none. */
const gridsOfStreams = ['model.streams.0.grid:null', 'model.streams.1.grid:null'];

interface Sample {
  readonly params: unknown;
  readonly optional?: Optional;
  /** Parts that the gate lets pass whatever they are, or that may be null. */
  readonly free?: readonly string[];
}

/** True messages of every method, with everything that they may carry. */
const samples: readonly (readonly [Contract, Readonly<Record<string, readonly Sample[]>>])[] = [
  [
    fromPage,
    {
      ready: [{ params: { cropMode: 'tiles', row: 3 }, optional: only('cropMode', 'row') }],
      analysis: [
        {
          params: { name: 'rank', params: filter, progress: 3 },
          optional: only('progress', 'params'),
          free: ['params'],
        },
      ],
      filtering: [{ params: filter }],
      'settings/save': [{ params: filter }],
      export: [
        { params: { kind: 'comparison.csv', bytes: file() } },
        { params: { kind: 'npz', settings: filter } },
        {
          params: { kind: 'npz', settings: filter, edits: { forcedKept: [1], forcedDropped: [0], replaced } },
          optional: only('edits'),
        },
        { params: { kind: 'view.png', bytes: file(), settings: filter } },
        { params: { kind: 'sweep.webp', settings: filter } },
        { params: { kind: 'comparison.png', bytes: file() } },
      ],
      models: [{ params: undefined }],
      'models/choose': [{ params: { model: '3' }, free: ['model:null'] }],
      'cropMode/choose': [{ params: ['centre'] }],
      edit: [{ params: { edits: { forcedKept: [1], forcedDropped: [0], replaced }, label: 'patch (0, 0) kept' } }],
      travel: [{ params: ['undo'] }],
      'row/choose': [{ params: ['list'] }],
      'tokens/other': [{ params: undefined }],
      'neighbour/open': [{ params: { which: 'previous', view: '{}', cropMode: 'fit' }, optional: only('cropMode') }],
      'view/remember': [{ params: { view: '{}' } }],
      action: [{ params: ['retry'] }],
      cancel: [{ params: undefined }],
    },
  ],
  [
    fromModelTablePage,
    {
      ready: [{ params: undefined }],
      cancel: [{ params: undefined }],
      resume: [{ params: undefined }],
      'table/reference': [{ params: [1] }],
      'table/save': [{ params: { kind: 'models.csv', order: [1, 0] } }],
    },
  ],
  [
    fromDatasetPage,
    {
      ready: [{ params: undefined }],
      cancel: [{ params: undefined }],
      'dataset/resume': [{ params: undefined }],
      'dataset/open': [{ params: [3] }],
      'dataset/thumbnail': [{ params: [3] }],
      'dataset/export': [{ params: { kind: 'table.csv', bytes: file() } }],
      'dataset/curves': [{ params: undefined }],
      'dataset/budgets': [{ params: [56.5] }],
      'dataset/saveBudget': [{ params: ['image'] }],
      action: [{ params: ['retry'] }],
    },
  ],
  [
    fromClient,
    {
      open: [
        {
          params: {
            id: 7,
            params: { picture: 1, choice, file: file(), settings: filter, cropMode: 'centre', maxMegapixels: 0.5 },
          },
          optional: (path) => /settings\.|choice\.cuda|cropMode|maxMegapixels/.test(path),
        },
      ],
      'tokens/open': [
        {
          params: {
            id: 7,
            params: {
              ...{ picture: 1, choice, tokens: tokensToDecode(), cropMode: 'fit', everyCode: false, settings: filter },
              ...{ original: file(), maxMegapixels: 0.5 },
            },
          },
          optional: (path) => /settings\.|choice\.cuda|original|maxMegapixels/.test(path),
        },
      ],
      reopen: [
        {
          params: { picture: 1, choice, file: file(), image: geometry, tokens: tokens(), manifest: '{}' },
          // Tokens of a file may have been opened without an image.
          optional: (path) => /choice\.cuda|image\.page$|^file$|tokens\.keep$/.test(path),
        },
      ],
      close: [{ params: { picture: 1 } }],
      analysis: [
        {
          params: { id: 1, params: { picture: 2, name: 'rank', params: filter } },
          optional: only('params.params'),
          free: ['params.params'],
        },
      ],
      'model/load': [{ params: { id: 1, params: choice }, optional: (path) => path.includes('.cuda') }],
      batches: [
        {
          params: { id: 1, params: { ...choice, threads: 2 } },
          optional: (path) => /\.cuda|\.threads/.test(path),
        },
      ],
      'pictures/tokenize': [
        {
          params: {
            id: 1,
            params: { choice, files: [file()], settings: filter, quality: true, batchSize: 2, maxMegapixels: 0.5 },
          },
          optional: (path) => /settings\.|choice\.cuda|maxMegapixels/.test(path),
        },
      ],
      'tokens/decode': [
        {
          params: { id: 1, params: { choice, pictures: [tokensToDecode()], batchSize: 2 } },
          optional: (path) => /choice\.cuda|batchSize/.test(path),
        },
      ],
      thumbnail: [
        {
          params: { id: 1, params: { file: file(), width: 96, height: 64, maxMegapixels: 0.5 } },
          optional: only('params.maxMegapixels'),
        },
      ],
      'provider/exclude': [
        {
          params: { choice, provider: 'cuda', reason: 'It failed.' },
          optional: (path) => path.startsWith('choice.cuda'),
        },
      ],
    },
  ],
  [
    fromProcess,
    {
      progress: [{ params: { id: 1, stage: 'encode', tiles }, optional: only('tiles') }],
      pictured: [
        {
          params: { id: 1, image: { ...geometry, rgb: new Uint8Array(3 * 2 * 3) }, model: tinyModel, settings: filter },
          optional: only('image.page'),
          free: gridsOfStreams,
        },
      ],
      'model/loaded': [
        {
          params: { ...loaded, choice },
          optional: (path) => path.startsWith('choice.cuda'),
          free: gridsOfStreams,
        },
      ],
      'provider/note': [
        {
          params: { inUse: { choice, provider: 'cuda', opening: true } },
          optional: (path) => path === 'inUse' || path.startsWith('inUse.choice.cuda'),
        },
      ],
    },
  ],
];

const everySample = samples.flatMap(([contract, methods]) =>
  Object.entries(methods).flatMap(([method, of]) =>
    of.map((sample) => ({ name: `${contract.sender}: ${method}`, contract, method, ...sample })),
  ),
);

const request = (method: string, params: unknown, id = 5) => ({ jsonrpc: '2.0', id, method, params });

/** Values that no part of a message may have, by the kind of the part. */
function strangers(value: unknown): unknown[] {
  const odd = [null, true, 7n, Symbol.iterator, () => 1, new Date(0), new Map(), [value], { value }, new Proxy({}, {})];
  if (typeof value === 'number') return [...odd, NaN, Infinity, -Infinity, -1, '1', new Uint8Array(1)];
  if (typeof value === 'boolean') return [null, 1, 'true', {}];
  if (typeof value === 'string') return [...odd, 1, NaN, { toString: () => value }, Object(value)];
  if (ArrayBuffer.isView(value)) {
    const { buffer } = value;
    const kinds = [new DataView(buffer), buffer, [...(value as Uint8Array)], { length: 6 }, new Uint16Array(6)];
    return [...odd, ...kinds, Object.create(Uint8Array.prototype), new Float64Array(3), 'AQID', new BigInt64Array(1)];
  }
  if (Array.isArray(value)) {
    const first: unknown = value[0];
    return [null, 1, 'x', {}, { length: 1, 0: first }, Array<unknown>(1e6).fill(first)];
  }
  return [null, 1, 'x', [], [value], Object.create(null), new Date(0)];
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

interface Place {
  readonly path: string;
  readonly value: unknown;
  /** The whole with another value here; without the key where there is none. */
  readonly replaced: (...by: [] | [unknown]) => unknown;
}

function places(whole: unknown): Place[] {
  const found: Place[] = [];
  const visit = (value: unknown, path: string, replaced: Place['replaced']): void => {
    found.push({ path, value, replaced });
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
    for (const key of Object.keys(value)) {
      visit(Reflect.get(value, key), path === '' ? key : `${path}.${key}`, (...by) => {
        const copy: object = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
        if (by.length === 0) Reflect.deleteProperty(copy, key);
        else Reflect.set(copy, key, by[0]);
        return replaced(copy);
      });
    }
  };
  visit(whole, '', (...by) => by[0]);
  return found;
}

it('there are samples of every method, so that each is tried', () => {
  for (const [{ messages }, methods] of samples) {
    expect(Object.keys(methods).sort()).toEqual([...messages.keys()].sort());
  }
});

describe.each(everySample)('$name', ({ contract, method, params, optional = () => false, free = [] }) => {
  const refusal = (value: unknown) => {
    const verdict = examine(request(method, value), contract);
    return verdict.message === undefined ? verdict.refusal : undefined;
  };
  const mayBeEmpty = ['ready', 'provider/note'].includes(method);
  const isFree = (path: string, value: unknown) =>
    free.some((each) => each === path || path.startsWith(`${each}.`) || (each === `${path}:null` && value === null));

  it('passes as it is sent', () => {
    expect(examine(request(method, params), contract)).toEqual({ message: request(method, params) });
  });

  it('passes without what may be absent, and not without anything else', () => {
    for (const { path, value, replaced } of places(params)) {
      if (path === '' || isFree(path, value)) continue;
      // A list may be shorter; the values that it has are tried below.
      if (/\.\d+$/.test(path)) continue;
      const passes = refusal(replaced()) === undefined;
      expect(passes, path).toBe(optional(path));
    }
  });

  it('does not pass with any part of another kind', () => {
    for (const { path, value, replaced } of places(params)) {
      for (const stranger of strangers(value)) {
        if (isFree(path, stranger)) continue;
        // Settings that are all absent are settings.
        if (optional(`${path}.`) || (mayBeEmpty && path === '' && isEmpty(stranger))) continue;
        expect(refusal(replaced(stranger)), `${path}: ${typeof stranger}`).toMatchObject({ id: 5 });
      }
    }
  });

  it('does not pass with a key that is not known, however deep', () => {
    for (const { path, value, replaced } of places(params)) {
      if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || isFree(path, value)) continue;
      if (Array.isArray(value)) continue;
      for (const key of ['extra', 'constructor', 'toString', 'lossrate', 'a\nb', 'tatok.model']) {
        expect(refusal(replaced({ ...value, [key]: 0 })), `${path} ${key}`).toMatchObject({ id: 5 });
      }
    }
  });

  it('does not pass with random parameters', () => {
    const random = fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true, withMap: true });
    fc.assert(
      fc.property(random, (value) => {
        fc.pre(value !== undefined && !(mayBeEmpty && isEmpty(value)));
        expect(refusal(value)).toMatchObject({ id: 5 });
      }),
      { seed: 15, numRuns: 300 },
    );
  });
});

describe('a message', () => {
  const refused = (value: unknown, contract = fromPage) => {
    const verdict = examine(value, contract);
    if (verdict.message !== undefined) throw new Error('it passed');
    return verdict;
  };

  it('of random values never passes, nor throws', () => {
    const envelope = fc.record(
      { jsonrpc: fc.constantFrom('2.0', '1.0', 2), id: fc.anything(), method: fc.anything(), params: fc.anything() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), envelope), (value) => void refused(value)),
      { seed: 15, numRuns: 2000 },
    );
  });

  it('that is no request of JSON-RPC is refused, with an answer where one is waited for', () => {
    const good = request('models', undefined);
    expect(examine(good, fromPage)).toHaveProperty('message');
    for (const bad of [{ jsonrpc: '1.0' }, { method: 7 }, { method: 'toString' }, { extra: 1 }, { params: [] }]) {
      expect(refused({ ...good, ...bad }).refusal, JSON.stringify(bad)).toMatchObject({
        id: 5,
        error: { code: -32602, data: { code: 'bad-message' } },
      });
    }
    for (const id of [-1, 0.5, '5', null, NaN, {}]) {
      expect(refused({ ...good, id }).refusal, JSON.stringify(id)).toBeUndefined();
    }
  });

  it('may cancel a request, by its number', () => {
    const cancel = (params: unknown) => ({ jsonrpc: '2.0', method: '$/cancelRequest', params });
    expect(examine(cancel({ id: 3 }), fromPage)).toEqual({ message: cancel({ id: 3 }) });
    for (const params of [undefined, null, {}, { id: '3' }, { id: 3, more: 1 }, [3]]) refused(cancel(params));
  });

  it('answers only a side that asks', () => {
    const answer = { jsonrpc: '2.0', id: 3, result: null };
    expect(examine(answer, fromClient)).toEqual({ message: answer });
    refused(answer);
    for (const bad of [
      { ...answer, id: '3' },
      { ...answer, error: 1 },
      { ...answer, more: 1 },
    ]) {
      refused(bad, fromClient);
    }
  });

  it('brings no text of its sender into the sentence about it', () => {
    const evil = 'evil\n[error] \u001b[31m$(reboot)';
    for (const value of [
      request(evil, {}),
      request('settings/save', { ...filter, [evil]: 1 }),
      request('settings/save', { ...filter, budget: evil }),
      request('export', { kind: evil, bytes: file() }),
      { ...request('models', undefined), [evil]: evil },
    ]) {
      expect(refused(value).reason).toMatch(
        /^The page sent a message that is not allowed, and it is ignored: [\x20-\x7e]+\.$/,
      );
      expect(refused(value).reason).not.toContain('evil');
    }
    expect(refused(request('settings/save', { ...filter, lossRate: 2 })).reason).toBe(
      'The page sent a message that is not allowed, and it is ignored: settings/save: lossRate: The information loss rate must be between 0 and 1.',
    );
  });
});

describe('an analysis', () => {
  const limits = { patches: 6, tiles: 2, globalTokens: 3, layers: 4, heads: 5 };
  const settings = filter;
  const edits = {
    forcedKept: [0, 3],
    forcedDropped: [5],
    replaced: [
      { token: 'global', index: 5, code: 70_000 },
      { token: 'patch', index: 5, code: 0 },
    ],
  };
  const ask = (name: string, params: unknown) => checkedAnalysis({ name, params }, limits);
  const good: readonly (readonly [string, object])[] = [
    ['rank', filter],
    ['reconstruct', filter],
    ['reconstruct', { ...filter, edits }],
    ['measure', { settings, lossRates: [0, 0.5, 1] }],
    ['influence', { settings, tile: 1, globalToken: 2 }],
    ['influence', { settings, edits, tile: 1, globalToken: 2 }],
    ['draw', { settings, edits, seed: 2 ** 32 - 1 }],
    ['nearest', { patch: 5 }],
    ['attention', { tile: 1, layer: 3, head: 4 }],
    ['attention', { tile: 0, layer: 'mean', head: 'mean' }],
    ['sweep', { settings, lossRates: [0, 1], format: 'webp' }],
    ['anchor', { codec: 'webp', bytes: 173 }],
    ['anchorCurve', { codec: 'avif', bytes: [1, 173] }],
  ];

  it('is tried below, whichever it is', () => {
    expect(new Set(good.map(([name]) => name))).toEqual(new Set(Object.keys(analysisRequests)));
  });

  it.each(good)('%s passes as it is asked for', (name, params) => {
    expect(ask(name, params)).toEqual({ name, params });
  });

  it.each(good)('%s does not pass with any part of another kind, without one, or with one more', (name, params) => {
    for (const { path, value, replaced } of places(params)) {
      for (const stranger of strangers(value)) {
        if (value === 'mean' && stranger === 1) continue;
        expect(() => ask(name, replaced(stranger)), `${path}: ${typeof stranger}`).toThrow(TatokError);
      }
      if (path !== '' && path !== 'edits' && !/\.\d+$/.test(path))
        expect(() => ask(name, replaced()), path).toThrow(TatokError);
    }
    expect(() => ask(name, { ...params, more: 1 })).toThrow('it has keys that are not known');
  });

  it.each([
    ['influence', { settings, tile: 2, globalToken: 0 }, 'tile: must be below 2'],
    ['influence', { settings, tile: 0, globalToken: 3 }, 'globalToken: must be below 3'],
    ['influence', { settings, tile: 0.5, globalToken: 0 }, 'tile: '],
    ['nearest', { patch: 6 }, 'patch: must be below 6'],
    ['attention', { tile: 2, layer: 0, head: 0 }, 'tile: must be below 2'],
    ['attention', { tile: 0, layer: 4, head: 0 }, 'layer: '],
    ['attention', { tile: 0, layer: 0, head: 5 }, 'head: '],
    ['attention', { tile: 0, layer: 'max', head: 0 }, 'layer: '],
    ['measure', { settings, lossRates: [] }, 'lossRates: must be a list of 1 to 7 values'],
    ['measure', { settings, lossRates: Array(8).fill(0.5) }, 'lossRates: must be a list of 1 to 7 values'],
    ['measure', { settings, lossRates: [0.5, 1.5] }, 'lossRates.1: '],
    ['anchor', { codec: 'png', bytes: 1 }, 'codec: '],
    ['anchor', { codec: 'webp', bytes: 2 ** 31 }, 'bytes: '],
    ['anchorCurve', { codec: 'webp', bytes: Array(33).fill(1) }, 'bytes: must be a list of 1 to 32 values'],
    [
      'reconstruct',
      { ...filter, edits: { ...edits, forcedKept: [6] } },
      'edits: must be of tokens that the picture has',
    ],
    ['reconstruct', { ...filter, edits: { ...edits, forcedKept: [5] } }, 'edits: a patch is both kept and dropped'],
    ['reconstruct', { ...filter, edits: { ...edits, forcedKept: Array(7).fill(0) } }, 'edits: must be lists of'],
    ['draw', { settings, edits: { ...edits, replaced: [{ token: 'global', index: 6, code: 0 }] }, seed: 0 }, 'edits: '],
    ['draw', { settings, seed: 2 ** 32 }, 'seed: must be below 4294967296'],
  ])('%s of %j is beyond the picture or its model', (name, params, reason) => {
    expect(() => ask(name, params)).toThrow(reason);
  });

  it.each(['', 'Rank', 'toString', 'constructor', '__proto__', 'hasOwnProperty'])('is not named %j', (name) => {
    expect(() => ask(name, filter)).toThrow('There is no analysis of that name.');
  });
});

describe('what a picture consists of', () => {
  const params = { picture: 1, choice, file: file(), image: geometry, tokens: tokens(), manifest: '{}' };
  const passes = (changed: object) =>
    examine(request('reopen', { ...params, tokens: { ...tokens(), ...changed } }), fromClient).message !== undefined;

  it('has as many tokens as it has patches and tiles, or none', () => {
    expect(passes({ patchCodes: new Int32Array(0), expectedCodes: new Float32Array(0) })).toBe(true);
    for (const changed of [
      { patchCodes: new Int32Array(7) },
      { entropyBits: new Float32Array(5) },
      { surprisalBits: new Float32Array(1) },
      { keep: new Uint8Array(5) },
      { expectedCodes: new Float32Array(13) },
      { globalCodes: new Int32Array(3) },
      { entropyBits: new Float64Array(6) },
    ]) {
      expect(passes(changed), Object.keys(changed).join()).toBe(false);
    }
  });

  it('has as many pixels as its size says', () => {
    const pictured = (rgb: Uint8Array) =>
      examine(
        request('pictured', { id: 1, image: { ...geometry, rgb }, model: tinyModel, settings: filter }),
        fromProcess,
      );
    expect(pictured(new Uint8Array(18)).message).toBeDefined();
    expect(pictured(new Uint8Array(17)).message).toBeUndefined();
  });
});

describe('an answer of the inference process', () => {
  it('analyses are answered with what they promise: arrays of their type and length, and numbers that are numbers', () => {
    const { image, reconstruction, ranking } = tinyTokenization;
    const region = { row: 0, column: 0, rows: 1, columns: 2 };
    const { psnr, ssim, keptTokens, length, totalTokens, payloadBits, maskBits } = reconstruction;
    const measurement = { psnr, ssim, keptTokens, length, totalTokens, payloadBits, maskBits, lossRate: 0.5 };
    const smallest = { bytes: 5, containerBytes: 3 };
    const file = { ...smallest, psnr: 30, ssim: null, quality: 4, encoded: { width: 2, height: 1 } };
    const anchor = { codec: 'webp', limitBytes: 9, file, smallest };
    const answers: Record<string, object> = {
      rank: { ...ranking },
      reconstruct: { ...reconstruction, timings: { decode: 1 } },
      measure: [measurement],
      influence: { tile: 0, globalToken: 1, region, change: new Float32Array(2) },
      attention: { tile: 0, layer: 0, head: 'mean', region, weights: new Float32Array(4) },
      nearest: [[{ code: 3, distance: 0.5 }], []],
      anchor: { ...anchor, rgb: image.rgb },
      anchorCurve: [anchor, { ...anchor, file: null }],
      draw: { patches: new Uint32Array(2), codes: new Int32Array(2) },
    };
    const spoilt: Record<string, object[]> = {
      rank: [
        ...[{ order: new Int32Array(6) }, { order: new Uint32Array(9) }, { totalBits: NaN }, { more: 1 }],
        ...[
          { priority: new Float64Array(5) },
          { priority: [1, 2, 3, 4, 5, 6] },
          { givenBits: new Float32Array(6) },
          { round: new Uint8Array(7) },
          { round: undefined },
          { savedDecibels: new Float64Array(1) },
          { more: new Float64Array(6) },
        ].map((change) => ({ priorities: { ...ranking?.priorities, ...change } })),
      ],
      reconstruct: [{ keep: [1] }, { rgb: 'no' }, { payloadBits: -1 }, { psnr: Infinity }, { settings: {} }],
      influence: [{ change: new Float32Array(3) }, { region: { ...region, rows: 0 } }],
      attention: [{ weights: new Float32Array(3) }, { head: 'all' }],
      anchor: [{ codec: 'svg' }, { rgb: undefined }, { file: { ...file, quality: 'good' } }],
      draw: [{ codes: new Int32Array(3) }, { patches: new Int32Array(2) }],
    };
    for (const [name, answer] of Object.entries(answers)) {
      expect(() => checkAnalysisAnswer(name, answer), name).not.toThrow();
      for (const bad of [
        ...(spoilt[name] ?? []).map((change) => ({ ...answer, ...change })),
        null,
        'text',
        [answer, 7],
      ]) {
        expect(() => checkAnalysisAnswer(name, bad), name).toThrow(`wrong answer to ${name}: `);
      }
    }
    expect(() => checkAnalysisAnswer('measure', [{ ...measurement, ssim: NaN }])).toThrow('wrong answer to measure');
    expect(() => checkAnalysisAnswer('nearest', [[{ code: 3, distance: -1 }]])).toThrow('wrong answer to nearest');
    // One that is made up is none of the table.
    for (const other of ['made-up', 'toString']) expect(() => checkAnalysisAnswer(other, null)).not.toThrow();
  });

  it('passes as it is given, and not with a number that is none, or a model of another shape', () => {
    expect(() => checkAnswer('open', opened)).not.toThrow();
    expect(() => checkAnswer('tokens/open', opened)).not.toThrow();
    expect(() => checkAnswer('model/load', loaded)).not.toThrow();
    for (const bad of [
      { ...opened, model: { ...tinyModel, grid: { rows: NaN, columns: 3 } } },
      { ...opened, model: { ...tinyModel, filters: 'yes' } },
      { ...opened, tokens: { ...tokens(), patchCodes: [1, 2] } },
      { ...opened, timings: { read: -1 } },
      { ...opened, timings: { lunch: 1 } },
      { ...opened, provider: { provider: 'abacus', failures: [] } },
      loaded,
      null,
    ]) {
      expect(() => checkAnswer('open', bad)).toThrow(/^The inference process gave a wrong answer to open: /);
    }
    const rgb = (length: number) => ({ width: 2, height: 1, rgb: new Uint8Array(length) });
    const decoded = (...pictures: unknown[]) => ({ ...loaded, pictures });
    expect(() => checkAnswer('tokens/decode', decoded(rgb(6), { failure: 'No.' }))).not.toThrow();
    for (const bad of [decoded(rgb(5)), decoded({ failure: 1 }), decoded(null), loaded]) {
      expect(() => checkAnswer('tokens/decode', bad)).toThrow(/wrong answer to tokens\/decode: pictures/);
    }
  });
});
