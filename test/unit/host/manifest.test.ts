import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import manifest from '../../../package.json';
import { imageExtensions } from '../../../src/commands/imageFiles';
import * as z from 'zod/mini';
import { parseSettings } from '../../../src/host/tatokSettings';
import { filterKeys, filterSchema } from '../../../src/method/settings';

const { contributes } = manifest;
const properties: Record<string, { default: unknown; markdownDescription: string; scope: string }> =
  contributes.configuration.properties;

/** A value that a setting's declaration allows and that is not its default. */
function otherValue(declaration: unknown): unknown {
  const {
    type,
    enum: choices,
    default: usual,
  } = z.object({ type: z.unknown(), enum: z.optional(z.array(z.unknown())), default: z.unknown() }).parse(declaration);
  if (choices !== undefined) return choices.find((choice) => choice !== null && choice !== usual);
  const samples: Record<string, unknown> = { string: '/elsewhere', array: ['cpu'], integer: 1, number: 0.5 };
  return samples[String(Array.isArray(type) ? type[0] : type)];
}

describe('package.json', () => {
  it('offers the command for exactly the images that the command takes', () => {
    const when = contributes.menus['explorer/context'][0]?.when ?? '';
    const [, source = '', flags = ''] = /resourceExtname =~ \/(.*)\/(i)$/.exec(when) ?? [];
    const pattern = new RegExp(source, flags);
    for (const extension of imageExtensions) {
      expect(pattern.test(`.${extension}`), extension).toBe(true);
      expect(pattern.test(`.${extension.toUpperCase()}`), extension).toBe(true);
    }
    for (const other of ['bmp', 'svg', 'pngx', 'txt', 'heic']) expect(pattern.test(`.${other}`), other).toBe(false);
    expect(contributes.customEditors[0]?.selector[0]?.filenamePattern).toBe(`*.{${imageExtensions.join(',')}}`);
  });

  it('declares the same defaults as the settings the host falls back to', () => {
    const where = { bundledModel: '/bundled', home: '/home', workspaceFolder: undefined, trusted: true };
    const declared = parseSettings((key) => properties[`tatok.${key}`]?.default, where);
    expect(declared).toEqual(parseSettings(() => undefined, where));
    expect(declared.problems).toEqual([]);
  });

  it('declares the limits and choices of the filter’s schema', () => {
    for (const key of filterKeys) {
      const { minimum, maximum, enum: choices } = z.toJSONSchema(filterSchema.shape[key]);
      const expected = { ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) };
      const {
        minimum: least,
        maximum: most,
        enum: declared,
      } = z
        .object({
          minimum: z.optional(z.number()),
          maximum: z.optional(z.number()),
          enum: z.optional(z.array(z.nullable(z.string()))),
        })
        .parse(properties[`tatok.${key}`]);
      expect(
        { ...(least !== undefined && { minimum: least }), ...(most !== undefined && { maximum: most }) },
        key,
      ).toEqual(expected);
      expect(declared, key).toEqual(choices && [...choices, null]);
    }
  });

  it('describes every setting and says where it may be set', () => {
    for (const [key, property] of Object.entries(properties)) {
      expect(property.markdownDescription, key).toMatch(/\.$/);
      expect(property.scope, key).toMatch(/^(window|resource|machine|machine-overridable)$/);
    }
  });

  it('lets no untrusted workspace choose code or models, or lift a limit', () => {
    const { untrustedWorkspaces } = manifest.capabilities;
    expect(untrustedWorkspaces.supported).toBe('limited');
    const where = { bundledModel: '/bundled', home: '/home', workspaceFolder: '/work', trusted: true };
    const usual = parseSettings(() => undefined, where).settings;
    /** The parts of the settings that another value of one key changes. */
    const changedBy = (key: string): string[] => {
      const value = otherValue(properties[key]);
      const { settings, problems } = parseSettings((each) => (`tatok.${each}` === key ? value : undefined), where);
      expect(problems, key).toEqual([]);
      const parts = Object.entries(settings).filter(
        ([name, part]) => !isDeepStrictEqual(part, usual[name as keyof typeof usual]),
      );
      expect(parts, key).not.toEqual([]);
      return parts.map(([name]) => name);
    };
    // A folder may say how its pictures are cut and filtered, and nothing else.
    const dangerous = Object.keys(properties).filter((key) =>
      changedBy(key).some((part) => !['filter', 'cropMode'].includes(part)),
    );
    expect(untrustedWorkspaces.restrictedConfigurations).toEqual(dangerous);
    expect(properties['tatok.cuda.libraryPath']?.scope).toBe('machine');
    expect(properties['tatok.timeLimit']?.scope).toBe('machine');
  });
});
