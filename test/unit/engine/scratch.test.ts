import { expect, it } from 'vitest';
import { Scratch } from '../../../src/engine/scratch';

it('lends the same memory again, of other lengths too', async () => {
  const scratch = new Scratch();
  const lent = (length: number) => scratch.lend(length, (bytes) => Promise.resolve(bytes));
  const [long, short] = [await lent(8), await lent(3)];
  expect(long).toHaveLength(8);
  expect(short).toHaveLength(3);
  expect(short.buffer).toBe(long.buffer);
  const longer = await lent(9);
  expect(longer.buffer).not.toBe(long.buffer);
  expect((await lent(8)).buffer).toBe(longer.buffer);
});

it('lends nothing twice at a time', async () => {
  const scratch = new Scratch();
  await scratch.lend(8, (outer) =>
    scratch.lend(8, (inner) => {
      expect(inner.buffer).not.toBe(outer.buffer);
      return Promise.resolve();
    }),
  );
});

it('has its memory back from work that fails', async () => {
  const scratch = new Scratch();
  let first: Uint8Array | undefined;
  const failing = scratch.lend(8, (bytes) => {
    first = bytes;
    return Promise.reject(new Error('no'));
  });
  await expect(failing).rejects.toThrow('no');
  expect((await scratch.lend(8, (bytes) => Promise.resolve(bytes))).buffer).toBe(first?.buffer);
});
