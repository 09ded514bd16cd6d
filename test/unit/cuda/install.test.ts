import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { pack } from 'tar-stream';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchProvider, stageProvider } from '../../../src/cuda/install';
import type { ProviderHashes } from '../../../src/cuda/package';
import { refusalOf } from '../refusal';

/** Builds that are known besides the real ones, whose provider has 230 MB. */
const knownBuilds = vi.hoisted((): ProviderHashes[] => []);
vi.mock('../../../src/cuda/package', () => ({ knownProviders: knownBuilds }));

const binding = join(import.meta.dirname, '../../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64');
const [shared, cuda] = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'] as const;
const { signal } = new AbortController();

/** A small real library in place of the provider. */
let library: Buffer;
let folder: string;
let target: string;

beforeAll(async () => {
  library = await readFile(join(binding, 'onnxruntime_binding.node'));
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-install-'));
  target = join(folder, 'storage', 'provider');
});

afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, content: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const wheel = () =>
  zipSync({
    'onnxruntime/capi': { [shared]: library, [cuda]: library, 'libonnxruntime.so.1.29.0': new Uint8Array(9) },
    'onnxruntime/__init__.py': new Uint8Array(3),
  });

async function tarball(): Promise<Buffer> {
  const tar = pack();
  for (const name of [`package/x64/${shared}`, 'package/README.md', `package/x64/${cuda}`])
    tar.entry({ name }, library);
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return gzipSync(Buffer.concat(chunks));
}

const stage = (source: string) => stageProvider(source, target, { signal });
const left = async () => readdir(join(folder, 'storage'));

describe('stageProvider', () => {
  it.each([
    ['a wheel', 'onnxruntime_gpu.whl', async () => Promise.resolve(wheel())],
    ['a NuGet package', 'onnxruntime.nupkg', async () => Promise.resolve(wheel())],
    ['a gzipped tar file', 'package.tgz', tarball],
  ])('takes the two libraries out of %s', async (_name, file, make) => {
    const staged = await stage(await write(file, await make()));
    expect(staged).toMatchObject({ known: false, cudaMajor: 13 });
    await staged.commit();
    expect((await readdir(target)).sort()).toEqual([cuda, shared]);
    expect(library.equals(await readFile(join(target, cuda)))).toBe(true);
    expect(await left()).toEqual(['provider']);
  });

  it('copies them from a folder, and replaces an earlier set only when committed', async () => {
    const source = join(folder, 'mine');
    await mkdir(source);
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'old'), '');
    for (const name of [shared, cuda, 'other']) await writeFile(join(source, name), library);
    const first = await stage(source);
    expect(await readdir(target)).toEqual(['old']);
    await first.discard();
    expect(await left()).toEqual(['provider']);
    await (await stage(source)).commit();
    expect((await readdir(target)).sort()).toEqual([cuda, shared]);
  });

  it.each([
    ['both', [shared, cuda], true],
    ['the shared one', [shared], false],
    ['the provider’s own', [cuda], false],
    ['none', [], false],
  ])('knows a build by both libraries: of a known one %s', async (_name, same, known) => {
    const source = join(folder, 'mine');
    await mkdir(source);
    const other = Buffer.concat([library, Buffer.of(0)]);
    for (const name of [shared, cuda]) await writeFile(join(source, name), same.includes(name) ? library : other);
    const hash = createHash('sha256').update(library).digest('hex');
    knownBuilds.push({ shared: hash, cuda: hash });
    expect((await stage(source)).known).toBe(known);
  });

  it.skipIf(process.platform === 'win32')('does not wait for a pipe in place of a library or an archive', async () => {
    const source = join(folder, 'mine');
    await mkdir(source);
    await writeFile(join(source, shared), library);
    execFileSync('mkfifo', [join(source, cuda)]);
    expect((await refusalOf(() => stage(source))).code).toBe('cuda-setup-failed');
    const pipe = join(folder, 'a.whl');
    execFileSync('mkfifo', [pipe]);
    expect((await refusalOf(() => stage(pipe))).message).toBe('a.whl is neither a file nor a folder.');
    expect(await left()).toEqual([]);
  });

  it('clears what a crashed attempt left', async () => {
    await mkdir(`${target}.0badcafe.partial`, { recursive: true });
    await (await stage(await write('a.whl', wheel()))).discard();
    expect(await left()).toEqual([]);
  });

  it.each<[string, string, () => Uint8Array | Promise<Uint8Array>, RegExp]>([
    ['no archive', 'a.whl', () => new Uint8Array(100), /^a\.whl is damaged or no archive\.$/],
    ['a wheel cut short', 'a.whl', () => wheel().subarray(0, 50_000), /^a\.whl is damaged or no archive\.$/],
    [
      'a tar file cut short',
      'a.tgz',
      async () => (await tarball()).subarray(0, 50_000),
      /^a\.tgz is damaged or no archive\.$/,
    ],
    [
      'an archive of something else',
      'a.zip',
      () => zipSync({ [shared]: library }),
      new RegExp(`^a.zip holds no ${cuda}.$`),
    ],
    [
      'a provider that is no library',
      'a.zip',
      () => zipSync({ [shared]: library, [cuda]: library.subarray(0, 4096) }),
      /^libonnxruntime_providers_cuda\.so of a\.zip cannot be used: it is cut short\.$/,
    ],
  ])('refuses %s and leaves nothing', async (_name, file, make, message) => {
    const path = await write(file, await make());
    const error = await refusalOf(() => stage(path));
    expect(error.code).toBe('cuda-setup-failed');
    expect(error.message).toMatch(message);
    expect(await left()).toEqual([]);
  });

  it('refuses a source that is not there', async () => {
    expect((await refusalOf(() => stage(join(folder, 'nowhere.whl')))).message).toMatch(
      /^There is no .*nowhere\.whl\.$/,
    );
  });

  it('stops when cancelled', async () => {
    const path = await write('a.whl', wheel());
    const error = await refusalOf(() => stageProvider(path, target, { signal: AbortSignal.abort() }));
    expect(error.code).toBe('cancelled');
    expect(await left()).toEqual([]);
  });
});

describe('fetchProvider', () => {
  it('fetches, unpacks and removes the archive; without room it does not begin', async () => {
    const content = wheel();
    const server = createServer((_request, response) => void response.end(content));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const file = {
      name: 'onnxruntime_gpu.whl',
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      size: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
      unpackedSize: 2 * library.length,
    };
    try {
      await (await fetchProvider(file, target, { signal })).commit();
      expect(await left()).toEqual(['provider']);
      const huge = { ...file, unpackedSize: 1e18 };
      expect((await refusalOf(() => fetchProvider(huge, target, { signal }))).message).toMatch(
        /^There is not enough room/,
      );
      expect(library.equals(await readFile(join(target, shared)))).toBe(true);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
