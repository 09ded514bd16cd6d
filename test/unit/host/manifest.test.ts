import { describe, expect, it } from 'vitest';
import manifest from '../../../package.json';
import { imageExtensions } from '../../../src/commands/imageFiles';
import * as z from 'zod/mini';
import { parseSettings } from '../../../src/host/tatokSettings';
import { filterKeys, filterSchema } from '../../../src/method/settings';

const { contributes } = manifest;
const properties: Record<string, { default: unknown; markdownDescription: string; scope: string }> =
  contributes.configuration.properties;

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
    // All others only say how a picture is cut and filtered; a new setting is restricted unless it is one of these.
    const harmless = ['lossRate', 'edgePriority', 'budget', 'ranking', 'conditioning', 'cropMode'].map(
      (key) => `tatok.${key}`,
    );
    expect(untrustedWorkspaces.restrictedConfigurations).toEqual(
      Object.keys(properties).filter((key) => !harmless.includes(key)),
    );
    expect(properties['tatok.cuda.libraryPath']?.scope).toBe('machine');
    expect(properties['tatok.timeLimit']?.scope).toBe('machine');
  });
});
