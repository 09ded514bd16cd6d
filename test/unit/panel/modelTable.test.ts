import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import * as vscode from 'vscode';
import type { OpenedPicture } from '../../../src/client/client';
import { TatokError } from '../../../src/method/errors';
import { ModelTableWork, systemOf, type TableServices } from '../../../src/panel/modelTableWork';
import type { FilterSettings } from '../../../src/method/types';
import { tinyModel } from '../model';

vi.mock('vscode', async () => (await import('jest-mock-vscode')).createVSCodeMock(vi));

const uri = (name: string) => vscode.Uri.parse(`file:///photographs/${name}`);
const settings = (lossRate: number): FilterSettings => ({
  ...{ lossRate, edgePriority: 0, budget: 'image', ranking: 'entropy' },
});

/** An inference in which a reconstruction costs more bits the smaller ε, and JPEG has no file under 100 bytes. */
function setUp(images: readonly string[], lossRates: readonly number[]) {
  const closed = vi.fn();
  const encoded = vi.fn();
  const open = vi.fn<TableServices['inference']['open']>(async ({ file, choice }) => {
    if (file.length === 0) throw new TatokError('image-unsupported', 'empty.png is empty.');
    const reconstruct = async ({ lossRate }: FilterSettings) => {
      await immediate();
      const tokens = Math.round(100 * (1 - lossRate));
      return { totalTokens: tokens, payloadBits: 16 * tokens, maskBits: 0, psnr: 20 + tokens / 10, ssim: 0.5 };
    };
    const anchorCurve = async ({ codec, bytes: [limit = 0] }: { codec: string; bytes: number[] }) => {
      encoded(codec, limit);
      const none = codec === 'jpeg' && limit < 100;
      const file = none ? null : { bytes: limit - 1, containerBytes: 20, psnr: 18, ssim: 0.4 };
      return [{ codec, limitBytes: limit, file, smallest: { bytes: 100, containerBytes: 90 } }];
    };
    return {
      image: { width: 100, height: 50 },
      analyses: { reconstruct, anchorCurve },
      close: closed,
      model: { directory: choice.directory },
    } as unknown as OpenedPicture;
  });
  const services = {
    inference: { open, acquire: () => ({ dispose: vi.fn() }) },
    configuration: {
      read: () => ({
        choice: { directory: '/models/configured', providers: ['cpu'] },
        filter: {},
        cropMode: 'centre' as const,
        cudaLibraryPath: undefined,
        maxMegapixels: 100,
        stepLimitMs: undefined,
      }),
    },
  };
  const systems = lossRates.map((lossRate) =>
    systemOf({ ...tinyModel, directory: '/models/tiny' }, settings(lossRate)),
  );
  const read = async ({ path }: vscode.Uri) => new Uint8Array(path.includes('empty') ? 0 : 1);
  const work = new ModelTableWork({ images: images.map(uri), systems }, services, read);
  return { work, open, closed, encoded };
}

describe('the work of a table', () => {
  it('is every image through every system, then the formats at the bytes of the first', async () => {
    const { work, open, closed, encoded } = setUp(['a.png', 'b.png'], [0.5, 0.2]);
    const phases: string[] = [];
    work.onDidChange(({ progress }) => phases.push(`${progress.done}/${progress.total} ${progress.phase}`));
    await work.start();
    const { rows, progress } = work.state;
    expect(progress).toEqual({ done: 6, total: 6, phase: 'complete' });
    expect(phases).toContain('1/6 running');
    expect(rows.map(({ name, images, means }) => [name, images, means.bytes, means.psnr])).toEqual([
      [`${tinyModel.name} ${tinyModel.version}`, 2, 100, 25],
      [`${tinyModel.name} ${tinyModel.version}`, 2, 160, 28],
      ['WebP', 2, 99, 18],
      ['AVIF', 2, 99, 18],
      ['JPEG', 2, 99, 18],
    ]);
    expect(rows.at(-1)?.settings).toContain('at the bytes of');
    expect(encoded.mock.calls.every(([, limit]) => limit === 100)).toBe(true);
    // Bits of 5000 pixels.
    expect(rows[0]?.means.bitsPerPixel).toBe(800 / 5000);
    expect(closed).toHaveBeenCalledTimes(open.mock.calls.length);
    expect(open.mock.calls[0]?.[0].choice.directory).toBe('/models/tiny');
  });

  it('keeps a broken image apart, with its reason, and formats without a file with theirs', async () => {
    const { work } = setUp(['a.png', 'empty.png'], [0.8]);
    await work.start();
    const [model, , , jpeg] = work.state.rows;
    expect(model).toMatchObject({ images: 1, missing: { count: 1, reason: 'empty.png is empty.' } });
    expect(jpeg).toMatchObject({
      images: 0,
      missing: { count: 2, reason: 'none ≤ 40 bytes (smallest 100, 90 of them container)' },
    });
  });

  it('ends when it is cancelled, and goes on with what is missing', async () => {
    const { work, open } = setUp(['a.png', 'b.png', 'c.png'], [0.5]);
    work.onDidChange(({ progress }) => {
      if (progress.done === 1 && progress.phase === 'running') work.cancel();
    });
    await work.start();
    expect(work.state.progress).toEqual({ done: 1, total: 6, phase: 'stopped' });
    expect(open.mock.calls.length).toBeLessThanOrEqual(2);
    open.mockClear();
    await work.start();
    expect(work.state.progress.phase).toBe('complete');
    expect(open, 'two images that were missing, and formats of three').toHaveBeenCalledTimes(5);
  });

  it('has formats at the bytes of another row, once it is chosen', async () => {
    const { work, encoded } = setUp(['a.png'], [0.5, 0.2]);
    await work.start();
    encoded.mockClear();
    work.chooseReference(7);
    work.chooseReference(1);
    await vi.waitFor(() => expect(work.state.progress.phase).toBe('complete'));
    expect(encoded.mock.calls).toEqual([
      ['webp', 160],
      ['avif', 160],
      ['jpeg', 160],
    ]);
    expect(work.state.rows[2]?.means.bytes).toBe(159);
  });
});
