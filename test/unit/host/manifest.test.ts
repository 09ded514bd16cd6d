import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import manifest from '../../../package.json';
import { imageExtensions } from '../../../src/host/imageFiles';
import * as z from 'zod/mini';
import { parseSettings } from '../../../src/host/tatokSettings';
import { declarationOf, userSettings, type SettingKey } from '../../../src/method/userSettings';

const { contributes } = manifest;
const properties: Record<string, { default: unknown; markdownDescription: string; scope: string }> =
  contributes.configuration.properties;

/** Keys of a setting that say nothing about its values. */
const texts = /^(order|uniqueItems|enumItemLabels|markdown.*)$/;

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

  it('declares every setting with its type, default, limits, choices and scope, and no other', () => {
    const declared = Object.entries(properties).map(([key, property]) => [
      key.replace('tatok.', ''),
      Object.fromEntries(Object.entries(property).filter(([name]) => !texts.test(name))),
    ]);
    const expected = (Object.keys(userSettings) as SettingKey[]).map((key) => [
      key,
      { ...declarationOf(key), scope: userSettings[key].scope },
    ]);
    expect(Object.fromEntries(declared)).toEqual(Object.fromEntries(expected));
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
