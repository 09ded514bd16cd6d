import { describe, expect, it } from 'vitest';
import manifest from '../../../package.json';
import { imageExtensions } from '../../../src/commands/imageFiles';
import { parseSettings } from '../../../src/host/tatokSettings';

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
    const where = { bundledModel: '/bundled', home: '/home', workspaceFolder: undefined };
    const declared = parseSettings((key) => properties[`tatok.${key}`]?.default, where);
    expect(declared).toEqual(parseSettings(() => undefined, where));
    expect(declared.problems).toEqual([]);
  });

  it('describes every setting and says where it may be set', () => {
    for (const [key, property] of Object.entries(properties)) {
      expect(property.markdownDescription, key).toMatch(/\.$/);
      expect(property.scope, key).toMatch(/^(window|resource|machine|machine-overridable)$/);
    }
  });

  it('lets no untrusted workspace choose code or models to load', () => {
    const { untrustedWorkspaces } = manifest.capabilities;
    expect(untrustedWorkspaces.supported).toBe('limited');
    expect(untrustedWorkspaces.restrictedConfigurations).toEqual(['tatok.model', 'tatok.cuda.libraryPath']);
    expect(properties['tatok.cuda.libraryPath']?.scope).toBe('machine');
  });
});
