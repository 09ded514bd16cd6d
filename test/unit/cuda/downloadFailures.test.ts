/** A disk that fills while the file is fetched. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect, it, vi } from 'vitest';
import { download } from '../../../src/cuda/download';
import { refusalOf } from '../refusal';

const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });

vi.mock('node:fs', async (original) => ({
  ...(await original<object>()),
  createWriteStream: () => new Writable({ write: (_chunk, _encoding, done) => done(full) }),
}));

it('is told as such, not as a download that was cut off', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tatok-download-'));
  const server = createServer((_request, response) => void response.end(Buffer.alloc(5000)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/wheel.whl`;
  try {
    const file = { url, size: 5000, sha256: '' };
    const error = await refusalOf(() =>
      download(file, join(folder, 'wheel.whl'), { signal: new AbortController().signal }),
    );
    expect(error.message).toBe('There is no room left on the disk.');
    expect(error.advice).toBe('Make room and start again.');
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  }
});
