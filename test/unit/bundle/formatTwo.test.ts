/** The schema of manifests, held to the one that is generated from Python's definitions, and to Python's verdicts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatTwoSchema } from '../../../src/bundle/formatTwo';
import { parseManifest } from '../../../src/bundle/manifest';
import { refusalOf } from '../refusal';

const root = join(import.meta.dirname, '../../..');

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = Readonly<Record<string, Json>>;

interface Case {
  readonly name: string;
  /** Keys of the whole manifest that are others. */
  readonly change: JsonObject;
  /** A part of the sentence. */
  readonly reason?: string;
}

const cases = readJson('test/fixtures/manifests.json') as unknown as {
  readonly manifest: JsonObject;
  readonly accepted: readonly Case[];
  readonly refused: readonly Case[];
};

function readJson(path: string): JsonObject {
  return JSON.parse(readFileSync(join(root, path), 'utf8')) as JsonObject;
}

describe('manifests of format 2', () => {
  // tests/test_bundle_format.py reads the same.
  it.each(cases.accepted)('accepts $name, as Python does', ({ change }) => {
    expect(parseManifest(JSON.stringify({ ...cases.manifest, ...change }), 'manifest.json')).toMatchObject({
      name: 'vq',
    });
  });

  it.each(cases.refused)('refuses $name, as Python does', async ({ change, reason = 'manifest.json' }) => {
    const text = JSON.stringify({ ...cases.manifest, ...change });
    const { code, message } = await refusalOf(() => parseManifest(text, 'manifest.json'));
    expect(code).toBe('model-invalid');
    expect(message.replaceAll('’', "'")).toContain(reason);
  });
});

describe('the schema that is published', () => {
  const { then, $defs } = readJson('models/manifest.schema.json');
  const published = z.fromJSONSchema({ ...(then as JsonObject), $defs } as z.core.JSONSchema.JSONSchema);

  it('is this one, but for what binds parts to each other', () => {
    const differences: string[] = [];
    let [accepted, refused] = [0, 0];
    for (const { name, change } of cases.accepted) {
      for (const [path, manifest] of mutations(cases.manifest, change)) {
        const own = formatTwoSchema.safeParse(manifest);
        // A custom issue is a rule that binds parts to each other, which no schema has.
        const fits = own.success || own.error.issues.every(({ code }) => code === 'custom');
        const { success } = published.safeParse(manifest);
        if (fits !== success) differences.push(`${name}: ${path}`);
        if (success) accepted++;
        else refused++;
      }
    }
    expect(differences).toEqual([]);
    expect(accepted).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(1000);
  });
});

/** A manifest with everything in which one value of the change, at any depth, is absent or another; with where, and by what. */
function* mutations(manifest: JsonObject, change: JsonObject): Generator<readonly [path: string, manifest: Json]> {
  const mutated = Object.keys(change).length === 0 ? manifest : change;
  for (const [path, other] of membersChanged(mutated)) {
    yield [path, mutated === manifest ? other : { ...manifest, ...(other as JsonObject) }];
  }
}

function* membersChanged(whole: JsonObject): Generator<readonly [path: string, changed: Json]> {
  for (const [key, value] of Object.entries(whole)) {
    const { [key]: _, ...others } = whole;
    yield [`${key} absent`, others];
    for (const [path, other] of changed(value)) yield [`${key}${path}`, { ...whole, [key]: other }];
  }
}

const replacements: readonly Json[] = [null, true, -1, 0, 1, 1.5, 2, 300, 2 ** 17, 2 ** 32, '', 'other', [], {}];

function* changed(value: Json): Generator<readonly [path: string, value: Json]> {
  for (const other of replacements) yield [` = ${JSON.stringify(other)}`, other];
  if (isList(value)) {
    for (const [i, each] of value.entries()) {
      for (const [path, other] of changed(each)) yield [`.${i}${path}`, value.with(i, other)];
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [path, other] of membersChanged(value)) yield [`.${path}`, other];
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
