import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { download, sizeOf } from '../../../src/cuda/download';
import { refusalOf } from '../refusal';
import { until } from '../until';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');

let folder: string;
let path: string;
let server: Server;
let url: string;
let ranges: (string | undefined)[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-download-'));
  path = join(folder, 'below', 'wheel.whl');
  ranges = [];
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/wheel.whl`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** Answers like a file server. Of more than `most` bytes it sends these, and cuts the connection once some are in the file. */
const serve =
  (bytes: Buffer, most = Infinity) =>
  (request: IncomingMessage, response: ServerResponse) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start >= bytes.length) return void response.writeHead(416).end();
    response.writeHead(start > 0 ? 206 : 200, { 'Content-Length': bytes.length - start });
    if (bytes.length - start <= most) return void response.end(bytes.subarray(start));
    response.write(bytes.subarray(start, start + most));
    void until(async () => (await sizeOf(path)) > 0).then(() => response.destroy());
  };

const fetchIt = (options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {}) =>
  download({ url, size: content.length, sha256 }, path, { signal: new AbortController().signal, ...options });

describe('download', () => {
  it('fetches the file and tells its progress', async () => {
    answer = serve(content);
    const progress: number[] = [];
    await fetchIt({ onProgress: (bytes) => progress.push(bytes) });
    expect(content.equals(await readFile(path))).toBe(true);
    expect(progress.at(-1)).toBe(content.length);
    await fetchIt();
    expect(ranges).toEqual([undefined]);
  });

  it('says where it was cut off, and continues there', async () => {
    answer = serve(content, 100_000);
    const error = await refusalOf(() => fetchIt());
    expect(error.code).toBe('cuda-setup-failed');
    expect(error.message).toMatch(/^The download ended after 0 MB of 0 MB\.$/);
    const there = (await readFile(path)).length;
    expect(there).toBeGreaterThan(0);
    answer = serve(content);
    await fetchIt();
    expect(ranges).toEqual([undefined, `bytes=${there}-`]);
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it('notices a body that ends early although the server calls it whole', async () => {
    answer = (_request, response) => void response.writeHead(200).end(content.subarray(0, 5000));
    expect((await refusalOf(() => fetchIt())).message).toMatch(/^The download ended after/);
  });

  it('begins anew where the server knows no ranges', async () => {
    answer = serve(content, 100_000);
    await refusalOf(() => fetchIt());
    answer = (_request, response) => void response.writeHead(200).end(content);
    await fetchIt();
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it('begins anew where the server has less than is there', async () => {
    answer = serve(content, 100_000);
    await refusalOf(() => fetchIt());
    let first = true;
    answer = (request, response) => {
      if (first) response.writeHead(416).end();
      else serve(content)(request, response);
      first = false;
    };
    await fetchIt();
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it.each([
    ['other bytes', randomBytes(content.length)],
    ['more bytes', randomBytes(content.length + 1)],
  ])('deletes %s than the pinned ones', async (_name, bytes) => {
    answer = serve(bytes);
    const error = await refusalOf(() => fetchIt());
    expect(error.message).toContain('is not the one wanted');
    expect(await readdir(join(folder, 'below'))).toEqual([]);
  });

  it('deletes what was damaged between two attempts', async () => {
    answer = serve(content, 100_000);
    await refusalOf(() => fetchIt());
    const part = await readFile(path);
    await writeFile(path, Buffer.alloc(part.length));
    answer = serve(content);
    expect((await refusalOf(() => fetchIt())).message).toContain('is not the one wanted');
    await fetchIt();
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it('says what a server refuses with, and that none is there', async () => {
    answer = (_request, response) => void response.writeHead(403).end('no');
    expect((await refusalOf(() => fetchIt())).message).toMatch(/refused the download \(403 Forbidden\)\.$/);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const error = await refusalOf(() => fetchIt());
    expect(error.message).toMatch(/could not be reached: .*ECONNREFUSED/);
    expect(error.advice).toContain('http.proxy');
    expect(error.advice).toContain('local archive');
  });

  it('calls a server that is gone gone, also where an earlier attempt left something', async () => {
    answer = serve(content, 100_000);
    await refusalOf(() => fetchIt());
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect((await refusalOf(() => fetchIt())).message).toMatch(/could not be reached: .*ECONNREFUSED/);
  });

  it('says which folder it may not write to', async () => {
    answer = serve(content);
    await writeFile(join(folder, 'file'), '');
    path = join(folder, 'file', 'wheel.whl');
    const error = await refusalOf(() => fetchIt());
    expect(error.code).toBe('cuda-setup-failed');
    expect(error.message).toMatch(/file could not be read or written: /);
  });

  it('stops when cancelled and keeps what came', async () => {
    const source = new AbortController();
    answer = (_request, response) => void response.writeHead(200).write(content.subarray(0, 100_000));
    const request = refusalOf(() => fetchIt({ signal: source.signal, onProgress: () => source.abort() }));
    expect((await request).code).toBe('cancelled');
    answer = serve(content);
    await fetchIt();
    expect(content.equals(await readFile(path))).toBe(true);
  });
});
