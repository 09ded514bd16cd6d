import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../esbuild.mjs';
import { packageExtension } from '../../scripts/package.mjs';
import { InferenceClient } from '../../src/client/client';
import { readArchive } from './archive';
import { packedExtension } from './vsix';

const root = resolve(import.meta.dirname, '../..');
const platform = `${process.platform}-${process.arch}`;
const text = new TextDecoder();

const expectedOfEvery = [
  'extension/package.json',
  'extension/readme.md',
  'extension/changelog.md',
  'extension/LICENSE.txt',
  'extension/THIRD-PARTY-NOTICES.txt',
  'extension/api.d.ts',
  'extension/media/icon.png',
  'extension/dist/extension.js',
  'extension/dist/inference.js',
  'extension/dist/sessionThread.js',
  'extension/dist/webview.js',
  'extension/dist/webview.css',
  'extension/dist/dataset.js',
  'extension/dist/dataset.css',
  'extension/dist/modelTable.js',
  'extension/dist/modelTable.css',
  'extension/models/manifest.schema.json',
  'extension/models/tatok-s-256/manifest.json',
  'extension/models/tatok-s-256/encoder.onnx',
  'extension/models/tatok-s-256/entropy.onnx',
  'extension/models/tatok-s-256/decoder.onnx',
];

/** The only places a package may hold files in. */
const allowed = [
  /^\[Content_Types\]\.xml$/,
  /^extension\.vsixmanifest$/,
  /^extension\/(package\.json|readme\.md|changelog\.md|LICENSE\.txt|THIRD-PARTY-NOTICES\.txt)$/,
  /^extension\/dist\/(extension|inference|sessionThread|webview|dataset|modelTable)\.js$/,
  /^extension\/dist\/(webview|dataset|modelTable)\.css$/,
  /^extension\/api\.d\.ts$/,
  /^extension\/media\/(icon\.png|walkthrough\/[^/]+)$/,
  /^extension\/models\/manifest\.schema\.json$/,
  /^extension\/models\/tatok-s-256\/([^/]+\.onnx|manifest\.json|README\.md)$/,
  /^extension\/python\/tatok-[\d.]+-py3-none-any\.whl$/,
  /^extension\/node_modules\/(sharp|@img\/[^/]+|detect-libc|semver|onnxruntime-node|onnxruntime-common)\//,
];

function checkList(files: ReadonlyMap<string, Uint8Array>, target: string): void {
  const paths = [...files.keys()];
  expect(paths).toEqual(expect.arrayContaining(expectedOfEvery));
  expect(paths.filter((path) => !allowed.some((pattern) => pattern.test(path)))).toEqual([]);
  expect(paths.filter((path) => /\.(map|d\.c?ts|ts|tsx|env)$/.test(path))).toEqual(['extension/api.d.ts']);
  const [os = '', cpu = ''] = target.split('-');
  const bindings = paths.filter((path) => path.endsWith('onnxruntime_binding.node'));
  expect(bindings).toEqual([
    `extension/node_modules/onnxruntime-node/bin/napi-v6/${os}/${cpu}/onnxruntime_binding.node`,
  ]);
  const sharps = new Set(paths.flatMap((path) => /@img\/(sharp-(?!libvips)[^/]+)\//.exec(path)?.[1] ?? []));
  expect([...sharps]).toEqual([`sharp-${target}`]);
  expect(text.decode(files.get('extension.vsixmanifest'))).toContain(`TargetPlatform="${target}"`);
}

/** Words that every copy of a licence has. */
const licences: Readonly<Record<string, RegExp>> = {
  MIT: /Permission is hereby granted, free of charge/,
  'BlueOak-1.0.0': /Blue Oak Model License\s+Version 1\.0\.0/,
  ISC: /Permission to use, copy, modify, and\/or distribute this\s+software/,
  '0BSD': /Permission to use, copy, modify, and\/or distribute this\s+software/,
  'BSD-3-Clause': /Redistributions in binary form must reproduce/,
  'Apache-2.0': /TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION/,
  'LGPL-3.0-or-later': /GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3[\s\S]+GNU GENERAL PUBLIC LICENSE\s+Version 3/,
};

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** The package.json of each package in node_modules. */
function shippedManifests(files: ReadonlyMap<string, Uint8Array>): string[] {
  const manifests = [...files].filter(([path]) => /node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path));
  return manifests.map(([, bytes]) => text.decode(bytes));
}

/** @param manifests texts of package.json */
function checkLicences(files: ReadonlyMap<string, Uint8Array>, manifests: readonly string[]): void {
  const notices = text.decode(files.get('extension/THIRD-PARTY-NOTICES.txt')).split(`\n\n${'-'.repeat(80)}\n\n`);
  for (const manifest of manifests) {
    const { name, version, license } = JSON.parse(manifest) as Package;
    const notice = notices.find((entry) => entry.startsWith(`${name} ${version} (${license})\n`)) ?? '';
    for (const part of license.split(' AND '))
      expect(notice, `${name} ${version}`).toMatch(licences[part] ?? /^unknown$/);
    if (license.includes('LGPL')) checkLibvips(notice);
    if (name === 'onnxruntime-node') expect(notice).toContain('THIRD PARTY SOFTWARE NOTICES AND INFORMATION');
  }
}

/** The readme of a package with libvips names each library in it and its licence, in a table. */
function checkLibvips(notice: string): void {
  const rows = [...notice.matchAll(/^\| ([\w-]+) +\| (.+?) +\|$/gm)].filter(([, library]) => library !== 'Library');
  expect(rows.length).toBeGreaterThan(20);
  for (const [, library = '', licence = ''] of rows) {
    if (licence !== 'LGPLv3') expect(notice, library).toMatch(new RegExp(`^${library}\n=+\n\n.*\\S`, 'm'));
  }
}

/** Paths of the images that the walkthrough shows. */
function walkthroughImages(files: ReadonlyMap<string, Uint8Array>): string[] {
  const folder = 'extension/media/walkthrough';
  const pages = [...files].filter(([path]) => path.startsWith(folder) && path.endsWith('.md'));
  const links = pages.flatMap(([, bytes]) => [...text.decode(bytes).matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)]);
  return links.map(([, link = '']) => posix.join(folder, link));
}

describe(`the package for ${platform}`, () => {
  let vsix: string;
  let files: Map<string, Uint8Array>;

  beforeAll(async () => {
    vsix = await packedExtension();
    files = await readArchive(vsix);
  });

  it('holds what it needs and nothing else', () => checkList(files, platform));

  it('holds the images of the walkthrough, and no others', () => {
    const images = walkthroughImages(files);
    expect(images).toHaveLength(3);
    expect([...files.keys()].filter((path) => /media\/.+\/.+\.png$/.test(path)).sort()).toEqual(images.sort());
  });

  it('is under 130 MB', async () => {
    expect((await stat(vsix)).size).toBeLessThan(130e6);
  });

  it('has a page script under 178 kB compressed, without the parts of the UI toolkit that it does not use', () => {
    const script = files.get('extension/dist/webview.js') ?? new Uint8Array();
    expect(gzipSync(script).length).toBeLessThan(178e3);
    expect(text.decode(script)).not.toContain('calendar');
    // The host checks what the page sends; the page need not.
    expect(text.decode(script)).not.toContain('sent a message that is not allowed');
  });

  it('has a script of data sets under 130 kB compressed, without the checks of the host', () => {
    const script = files.get('extension/dist/dataset.js') ?? new Uint8Array();
    expect(gzipSync(script).length).toBeLessThan(130e3);
    expect(text.decode(script)).not.toContain('calendar');
    expect(text.decode(script)).not.toContain('sent a message that is not allowed');
  });

  it('tells nothing of the machine that made it', () => {
    for (const [path, bytes] of files) {
      if (!path.startsWith('extension/dist/')) continue;
      const code = text.decode(bytes);
      expect(code, path).not.toContain('sourceMappingURL');
      expect(code, path).not.toContain(root);
    }
  });

  it('holds the Python package that imports tokenizers, in under 400 kB', () => {
    const [name = '', wheel = new Uint8Array()] =
      [...files].find(([path]) => path.startsWith('extension/python/')) ?? [];
    expect(name).toMatch(/tatok-[\d.]+-py3-none-any\.whl$/);
    expect(wheel.length).toBeLessThan(400e3);
    const modules = Object.keys(unzipSync(wheel));
    expect(modules).toEqual(
      expect.arrayContaining(['tatok/cli.py', 'tatok/importers/titok.py', 'tatok/lens/command.py']),
    );
    expect(modules.filter((path) => !/^tatok(\/.+\.py|-[\d.]+\.dist-info\/.+)$/.test(path))).toEqual([]);
  });

  it('holds the model that its manifest describes', () => {
    const folder = 'extension/models/tatok-s-256';
    const manifest = JSON.parse(text.decode(files.get(`${folder}/manifest.json`))) as { name?: string };
    expect(manifest.name).toBe('tatok-s-256');
  });

  it('holds the licence of every package that its bundles and its node_modules come from', async () => {
    const outdir = await mkdtemp(join(tmpdir(), 'tatok-bundles-'));
    const names = [...files.keys()].flatMap((path) => /dist\/(\w+)\.js$/.exec(path)?.[1] ?? []);
    const inputs = await build({ outdir, only: names }).finally(() => rm(outdir, { recursive: true }));
    const folders = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
    const bundled = await Promise.all(
      [...folders].map((folder) => readFile(join(root, folder, 'package.json'), 'utf8')),
    );
    expect(bundled.length).toBeGreaterThan(30);
    checkLicences(files, [...bundled, ...shippedManifests(files)]);
    // Packages hold code of others, which their own licence does not name.
    const notices = text.decode(files.get('extension/THIRD-PARTY-NOTICES.txt'));
    const holders = new Set<string>();
    for (const input of inputs.filter((path) => path.includes('node_modules/'))) {
      const source = await readFile(join(root, input), 'utf8');
      for (const [comment] of source.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)) {
        for (const [, holder = ''] of comment.matchAll(
          /Copyright (?:\(c\) |© )?(?:\d{4}[-\d, ]*)?([A-Z][\w.]+(?: [A-Z]\w+)?)/gi,
        )) {
          holders.add(holder);
        }
      }
    }
    expect(holders).toContain('Devon Govett');
    for (const holder of holders) expect(notices.toLowerCase(), holder).toContain(holder.toLowerCase());
  });

  describe('unpacked away from the checkout', () => {
    let directory: string;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'tatok-unpacked-'));
      for (const [path, bytes] of files) {
        const file = join(directory, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, bytes);
      }
    });

    afterAll(() => rm(directory, { recursive: true, force: true }));

    it('decodes an image with its own sharp and tokenizes it with its own ONNX Runtime and model', async () => {
      const extension = join(directory, 'extension');
      const client = new InferenceClient({ modulePath: join(extension, 'dist/inference.js') });
      try {
        const { image, reconstruction, model, provider } = await client.tokenize({
          choice: { directory: join(extension, 'models/tatok-s-256'), providers: ['cpu'] },
          file: await readFile(join(root, 'media/samples/kodim23.png')),
          settings: { lossRate: 0 },
        });
        expect([image.sourceWidth, image.sourceHeight]).toEqual([768, 512]);
        expect(model.directory).toBe(join(extension, 'models/tatok-s-256'));
        expect(provider.provider).toBe('cpu');
        expect(reconstruction.keptTokens).toBe(model.grid.rows * model.grid.columns);
        expect(reconstruction.psnr).toBeGreaterThan(15);
      } finally {
        await client.dispose();
      }
    });
  });
});

describe('the package for another platform', () => {
  const target = process.platform === 'win32' ? 'linux-x64' : 'win32-x64';

  it(`${target} holds that platform's binaries only, with their licences`, async () => {
    const out = join('.cache', 'test', `tatok-inspector-${target}.vsix`);
    const files = await readArchive(await packageExtension({ target, out }));
    checkList(files, target);
    checkLicences(files, shippedManifests(files));
  });

  it('is refused where a binary is missing', async () => {
    await expect(packageExtension({ target: 'alpine-x64' })).rejects.toThrow('There is no package for alpine-x64');
  });
});
