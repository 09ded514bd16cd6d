import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import manifest from '../../../package.json';
import { neededLibraries } from '../../../src/cuda/elf';
import { olderThan, runtimeVersion } from '../../../src/cuda/requirements';

const binding = join(import.meta.dirname, '../../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-elf-'));
});

afterEach(() => rm(folder, { recursive: true }));

/** The first bytes of the real binding. */
async function head(length: number): Promise<Buffer> {
  const file = await open(join(binding, 'onnxruntime_binding.node'));
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, 0);
  await file.close();
  return buffer;
}

const refused = async (content: Buffer | string): Promise<unknown> => {
  const path = join(folder, 'library.so');
  await writeFile(path, content);
  return neededLibraries(path).catch((error: unknown) => error);
};

describe('neededLibraries', () => {
  it('reads what a library needs', async () => {
    expect(await neededLibraries(join(binding, 'onnxruntime_binding.node'))).toEqual(
      expect.arrayContaining(['libonnxruntime.so.1', 'libstdc++.so.6', 'libc.so.6']),
    );
  });

  it('refuses what is no library, is cut short or is for another processor', async () => {
    expect(await refused('x'.repeat(5000))).toEqual(new Error('it is no shared library'));
    expect(await refused('')).toEqual(new Error('it is cut short'));
    expect(await refused(await head(4096))).toEqual(new Error('it is cut short'));
    const arm = await head(4096);
    arm.writeUInt16LE(183, 18);
    expect(await refused(arm)).toEqual(new Error('it is for another processor'));
  });
});

describe('requirements', () => {
  it('are those of the pinned onnxruntime-node', () => {
    expect(manifest.dependencies['onnxruntime-node']).toBe(runtimeVersion);
  });

  it.each([
    ['550.54.15', '580.65.06', true],
    ['580.65.06', '580.65.06', false],
    ['580.159.04', '580.65.06', false],
    ['1000.1', '580.65.06', false],
    ['580', '580.65.06', true],
  ])('%s is older than %s: %s', (a, b, older) => expect(olderThan(a, b)).toBe(older));
});
