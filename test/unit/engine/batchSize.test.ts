import { describe, expect, it } from 'vitest';
import { batchSize } from '../../../src/engine/sessionOptions';

const small = { imageSize: { width: 256, height: 256 } };

describe('images that go through a graph at once', () => {
  it('are few on the CPU and many elsewhere', () => {
    expect(batchSize('cpu', small, undefined)).toBe(2);
    expect(batchSize('cuda', small, undefined)).toBe(16);
    expect(batchSize('webgpu', small, undefined)).toBe(16);
  });

  it('are as many on CUDA as a limit of memory has room for, at 40 MiB each', () => {
    expect(batchSize('cuda', small, 40)).toBe(1);
    expect(batchSize('cuda', small, 79)).toBe(1);
    expect(batchSize('cuda', small, 160)).toBe(4);
    expect(batchSize('cuda', { imageSize: { width: 512, height: 512 } }, 160)).toBe(1);
  });

  it('are at least one, and never more than without a limit', () => {
    expect(batchSize('cuda', small, 1)).toBe(1);
    expect(batchSize('cuda', small, 1e6)).toBe(16);
  });

  it('are not limited where it is not CUDA that computes', () => {
    expect(batchSize('cpu', small, 1)).toBe(2);
    expect(batchSize('dml', small, 1)).toBe(16);
  });
});
