/** Mutations of files: as data that fast-check makes from a seed, and what each does to the bytes. */
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { structureOf, type Format, type NumberAt } from './structure';

/** Places and choices are shares of what there is: a step fits every file. */
export type Step =
  | { readonly kind: 'flip bits'; readonly at: number; readonly mask: number }
  | { readonly kind: 'overwrite'; readonly at: number; readonly bytes: readonly number[] }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'append'; readonly bytes: readonly number[] }
  | { readonly kind: 'drop a block'; readonly block: number }
  | { readonly kind: 'repeat a block'; readonly block: number; readonly times: number }
  | { readonly kind: 'swap two blocks'; readonly block: number; readonly other: number }
  | { readonly kind: 'alter a number'; readonly number: number; readonly value: number }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number; readonly length: number };

/** How a mutant is made of one file, and where it is spliced of another. */
export interface Recipe {
  readonly file: number;
  readonly other: number;
  readonly steps: readonly Step[];
  /** Checksums and the lengths of what a block is in are put right again, so that the decoder behind them is reached. */
  readonly sealed: boolean;
}

/** Evenly spread: fast-check prefers the ends of a range. */
const share = fc.noBias(fc.nat(9_999_999)).map((value) => value / 1e7);
/** Headers are short, and most of what can go wrong is there. */
const place = fc.oneof(
  share,
  share.map((value) => Number((value ** 3).toFixed(6))),
  share.map((value) => Number((value / 20).toFixed(6))),
);
const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));
const bytes = fc.array(byte, { minLength: 1, maxLength: 16 });

/** Numbers that readers trip over. Those that do not fit a field are cut to its size. */
const number = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 7, 8, 15, 16, 255, 256, 4096, 65535, 65536, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  fc.nat(300),
  fc.nat(2 ** 31 - 1),
);

/** One kind of step, with what it takes; the more weight, the more of them. */
function kind<Kind extends Step['kind'], Of>(
  weight: number,
  name: Kind,
  model: { [Key in keyof Of]: fc.Arbitrary<Of[Key]> },
) {
  return { weight, arbitrary: fc.record({ kind: fc.constant(name), ...model }) };
}

/** Small changes more often: great ones are mostly refused for the first thing that is read. */
const step = fc.oneof(
  kind(6, 'flip bits', { at: place, mask: fc.integer({ min: 1, max: 255 }) }),
  kind(3, 'overwrite', { at: place, bytes }),
  kind(1, 'truncate', { at: share }),
  kind(1, 'append', { bytes }),
  kind(3, 'drop a block', { block: share }),
  kind(3, 'repeat a block', { block: share, times: fc.constantFrom(1, 2, 200) }),
  kind(1, 'swap two blocks', { block: share, other: share }),
  kind(8, 'alter a number', { number: share, value: number }),
  kind(2, 'splice', { at: share, from: share, length: share.map((value) => Number((value ** 4).toFixed(6))) }),
) as fc.Arbitrary<Step>;

/** Recipes for some number of files. */
export function recipes(files: number): fc.Arbitrary<Recipe> {
  return fc.record({
    file: fc.noBias(fc.nat(files - 1)),
    other: fc.noBias(fc.nat(files - 1)),
    steps: fc.oneof(
      { weight: 3, arbitrary: step.map((only) => [only]) },
      { weight: 1, arbitrary: fc.array(step, { minLength: 2, maxLength: 4 }) },
    ),
    sealed: fc.constantFrom(true, true, false),
  });
}

/** @param other a file of the same format, for what is spliced. */
export function mutated(
  format: Format | 'onnx' | 'zip',
  file: Uint8Array,
  other: Uint8Array,
  recipe: Recipe,
): Uint8Array {
  const { steps, sealed } = recipe;
  // A copy: a Buffer's slice would be the file itself.
  let mutant: Uint8Array = new Uint8Array(file);
  for (const each of steps) mutant = apply(format, mutant, other, each, sealed);
  if (sealed && format === 'png') restoreChecksums(mutant);
  return mutant;
}

function apply(
  format: Format | 'onnx' | 'zip',
  file: Uint8Array,
  other: Uint8Array,
  step: Step,
  sealed: boolean,
): Uint8Array {
  const at = (of: number) => Math.floor(of * file.length);
  const { blocks, numbers } = file.length < 64 ? { blocks: [], numbers: [] } : structureOf(format, file);
  const chosen = <Value>(of: readonly Value[], choice: number) => of[Math.floor(choice * of.length)];
  switch (step.kind) {
    case 'flip bits': {
      file.set([(file[at(step.at)] ?? 0) ^ step.mask].slice(0, file.length), at(step.at));
      return file;
    }
    case 'overwrite':
      file.set(step.bytes.slice(0, file.length - at(step.at)), at(step.at));
      return file;
    case 'truncate':
      return file.slice(0, at(step.at));
    case 'append':
      return joined(file, Uint8Array.from(step.bytes));
    case 'drop a block':
    case 'repeat a block': {
      const block = chosen(blocks, step.block);
      if (block === undefined) return file;
      const { start, end, lengths } = block;
      const times = step.kind === 'drop a block' ? 0 : step.times + 1;
      const part = file.slice(start, end);
      // As many as a mebibyte has room for.
      const copies = Array.from({ length: Math.min(times, Math.floor(2 ** 20 / part.length)) }, () => part);
      const changed = joined(file.subarray(0, start), ...copies, file.subarray(end));
      const change = changed.length - file.length;
      if (sealed) for (const length of lengths) write(changed, length, read(file, length) + change);
      return changed;
    }
    case 'swap two blocks': {
      const pair = [chosen(blocks, step.block), chosen(blocks, step.other)];
      const [one, two] = pair.sort((a, b) => (a?.start ?? 0) - (b?.start ?? 0));
      if (one === undefined || two === undefined || one.end > two.start) return file;
      return joined(
        file.subarray(0, one.start),
        file.subarray(two.start, two.end),
        file.subarray(one.end, two.start),
        file.subarray(one.start, one.end),
        file.subarray(two.end),
      );
    }
    case 'alter a number': {
      const place = chosen(numbers, step.number);
      if (place !== undefined) write(file, place, step.value);
      return file;
    }
    case 'splice': {
      const from = Math.floor(step.from * other.length);
      const part = other.subarray(from, from + Math.floor(step.length * (other.length - from)));
      return joined(file.subarray(0, at(step.at)), part, file.subarray(at(step.at) + part.length));
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function read(file: Uint8Array, { at, size, order }: NumberAt): number {
  const digits = [...file.subarray(at, at + size)];
  if (order === 'big') digits.reverse();
  const base = order === 'varint' ? 128 : 256;
  return digits.reduce((sum, digit, i) => sum + (digit % base) * base ** i, 0);
}

/** Cuts a number that does not fit; nothing is written beyond the end. */
function write(file: Uint8Array, { at, size, order }: NumberAt, value: number): void {
  const base = order === 'varint' ? 128 : 256;
  const digits = Array.from({ length: size }, (_, i) => Math.floor(value / base ** i) % base);
  if (order === 'big') digits.reverse();
  if (order === 'varint') for (let i = 0; i < size - 1; i++) digits[i] = (digits[i] ?? 0) | 0x80;
  if (at + size <= file.length) file.set(digits, at);
}

function restoreChecksums(png: Uint8Array): void {
  const view = new DataView(png.buffer);
  for (let at = 8; at + 12 <= png.length;) {
    const end = at + 12 + view.getUint32(at);
    if (end > png.length) break;
    view.setUint32(end - 4, crc32(png.subarray(at + 4, end - 4)));
    at = end;
  }
}

/** Keys that name something else in JavaScript, and one of no manifest. */
const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', '', 'unknown'];

const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);

/** Values in JSON's own notation: some are none of JavaScript's, some none of JSON's. */
const json = fc.oneof(
  fc.constantFrom(
    'null',
    'true',
    'false',
    '0',
    '-1',
    '-0',
    '0.5',
    '1e308',
    '1e999',
    '-1e999',
    '1e-400',
    'NaN',
    'Infinity',
  ),
  fc.constantFrom('9007199254740993', '2147483648', '4294967296', '16777217', '1e15', '4096', '[]', '{}', '""', '[[]]'),
  fc.constantFrom('{"__proto__":{"size":1}}', '{"constructor":{"prototype":{"size":1}}}', '{"length":-1}'),
  fc.constantFrom(
    '"../../etc/passwd"',
    '"/dev/zero"',
    '"."',
    '".."',
    '"C:x"',
    '"encoder.onnx\\u0000"',
    '"\\ud800"',
    '"\\u202e"',
  ),
  fc.constantFrom('[1,1e9]', '[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]', '[1e308,1e308]'),
  fc.constantFrom(deep('[', ']', 2000), deep('{"a":', '}', 2000).replace('{}', '{"a":0}'), deep('[', ']', 200_000)),
  fc.constantFrom(`"${'x'.repeat(70_000)}"`, `[${'0,'.repeat(50_000)}0]`),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
  fc.integer().map(String),
);

export type JsonStep =
  | { readonly kind: 'replace a value'; readonly at: number; readonly value: string }
  | { readonly kind: 'drop a key'; readonly at: number }
  | { readonly kind: 'add a key'; readonly at: number; readonly key: string; readonly value: string }
  | { readonly kind: 'change the text'; readonly step: Step }
  | { readonly kind: 'encode otherwise'; readonly encoding: 'BOM' | 'UTF-16' | 'two BOMs' };

export const manifestRecipes: fc.Arbitrary<readonly JsonStep[]> = fc.array(
  fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant('replace a value' as const), at: share, value: json }), weight: 5 },
    { arbitrary: fc.record({ kind: fc.constant('drop a key' as const), at: share }), weight: 1 },
    {
      arbitrary: fc.record({
        kind: fc.constant('add a key' as const),
        at: share,
        key: fc.constantFrom(...keys),
        value: json,
      }),
      weight: 2,
    },
    { arbitrary: fc.record({ kind: fc.constant('change the text' as const), step }), weight: 1 },
    {
      arbitrary: fc.record({
        kind: fc.constant('encode otherwise' as const),
        encoding: fc.constantFrom('BOM' as const, 'UTF-16' as const, 'two BOMs' as const),
      }),
      weight: 1,
    },
  ),
  { minLength: 1, maxLength: 2 },
);

/** Stands for a value in notation that JavaScript has none for, until the text is made. */
const mark = (index: number) => `\u0001${index}\u0001`;

/** @param manifest a sound one. @returns the bytes of its file. */
export function mutatedManifest(manifest: unknown, steps: readonly JsonStep[]): Uint8Array {
  const root = structuredClone({ manifest });
  const notations: string[] = [];
  const marked = (notation: string) => mark(notations.push(notation) - 1);
  for (const each of steps) {
    const holders = holdersIn(root);
    if (each.kind === 'replace a value' || each.kind === 'drop a key') {
      const [holder, key] = holders[Math.floor(each.at * holders.length)] ?? [root, 'manifest'];
      if (each.kind === 'replace a value') Reflect.set(holder, key, marked(each.value));
      else Reflect.deleteProperty(holder, key);
    } else if (each.kind === 'add a key') {
      const objects = [...new Set(holders.map(([holder]) => holder))].filter((holder) => !Array.isArray(holder));
      const holder = objects[Math.floor(each.at * objects.length)] ?? root;
      // A key that JSON.parse makes an own one and assignment would not.
      Object.defineProperty(holder, each.key, { value: marked(each.value), enumerable: true, configurable: true });
    }
  }
  let text = (JSON.stringify(root.manifest) as string | undefined) ?? '';
  for (const [index, notation] of notations.entries()) text = text.replace(JSON.stringify(mark(index)), () => notation);
  let bytes: Uint8Array = new TextEncoder().encode(text);
  for (const each of steps) {
    if (each.kind === 'change the text') bytes = apply('png', new Uint8Array(bytes), bytes, each.step, false);
    if (each.kind !== 'encode otherwise') continue;
    if (each.encoding === 'UTF-16') bytes = Buffer.from(`\ufeff${new TextDecoder().decode(bytes)}`, 'utf16le');
    else bytes = joined(...(each.encoding === 'BOM' ? [bom] : [bom, bom]), bytes);
  }
  return bytes;
}

const bom = Uint8Array.of(0xef, 0xbb, 0xbf);

/** Every place of a value in a tree: what holds it, and under which key. */
function holdersIn(value: unknown): (readonly [object, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[value, key] as const, ...holdersIn(inner)]);
}
