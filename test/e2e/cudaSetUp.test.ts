/** Setting up CUDA, to its good end: with stand-ins for all libraries, and a server that has the wheel. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { knownProviders, providerPackage } from '../../src/cuda/package';
import { alteredExtension, replaceOnce } from '../packaging/alteredExtension';
import { sharedLibrary } from '../sharedLibrary';
import {
  choosePath,
  clearMessages,
  dialog,
  environmentReport,
  line,
  message,
  messagesPauseMs,
  openList,
  press,
  providerLibraries,
} from './cuda';
import { settled } from './inspector';
import { describeInVSCode, useVSCode } from './suite';
import { chooseInExplorer, inspectorOf } from './vscode';

const [shared, cuda] = providerLibraries;
const cudaLibraries = ['libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13', 'libcurand.so.10'];
const opened = ['libcuda.so.1', 'libcudnn.so.9'];

/** They can be loaded where all that they need is found, and then hold no provider. */
const libraries = {
  [shared]: sharedLibrary({ functions: ['Provider_SetHost'] }),
  [cuda]: sharedLibrary({ needed: cudaLibraries }),
};

/** The message after libraries were loaded: without its path the loader would have missed those that the provider needs. */
const reason = 'ONNX Runtime 1.29.0 does not take the provider’s libraries, though all that they need was found.';
const outcome = `CUDA is set up, but cannot be used. ${reason}`;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Three megabytes, so that there is a way to go. */
const wheel = Buffer.from(
  zipSync({ 'onnxruntime/capi': { ...libraries, 'libonnxruntime.so.1.29.0': new Uint8Array(3e6) } }, { level: 0 }),
);

/** The ranges that were asked for; the first answer is cut off. */
const asked: (string | undefined)[] = [];
const server: Server = createServer((request, response) => {
  const { range } = request.headers;
  asked.push(range);
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  response.writeHead(range === undefined ? 200 : 206, { 'Content-Length': wheel.length - start });
  if (asked.length > 1) response.end(wheel.subarray(start));
  else response.write(wheel.subarray(0, 1e6), () => response.destroy());
});

/** The packed extension with the pinned wheel replaced by the server's. */
async function extensionWithServer(): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { url, size, sha256: pinned, unpackedSize } = providerPackage;
  const known = knownProviders[0] ?? { shared: '', cuda: '' };
  const replacements: [string, string][] = [
    [url, `http://127.0.0.1:${port}/wheel`],
    [`size:${size}`, `size:${wheel.length}`],
    [pinned, sha256(wheel)],
    [`unpackedSize:${unpackedSize}`, 'unpackedSize:9000'],
    [known.shared, sha256(libraries[shared])],
    [known.cuda, sha256(libraries[cuda])],
  ];
  return alteredExtension('set-up', ['extension'], (code) =>
    replacements.reduce((altered, [old, replacement]) => replaceOnce(altered, old, replacement), code),
  );
}

describeInVSCode('Setting up CUDA in VS Code, where all else is there', () => {
  const vscode = useVSCode(async () => ({
    vsix: await extensionWithServer(),
    settings: { 'workbench.colorTheme': 'Default Dark Modern', 'http.proxySupport': 'off' },
  }));
  let storage: string;

  beforeAll(async () => {
    const packages = join(vscode.folder, '.venv/lib/python3.12/site-packages/nvidia/cu13/lib');
    await mkdir(packages, { recursive: true });
    for (const name of [...cudaLibraries, ...opened]) await writeFile(join(packages, name), sharedLibrary());
  });

  beforeEach(() => clearMessages(vscode.page));

  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  /** The list's first line is all that is wrong. */
  async function expectReady(page: Page): Promise<void> {
    await openList(page);
    await line(page, 'Nothing is missing').waitFor();
    await line(page, 'CUDA provider of ONNX Runtime 1.29.0')
      .filter({ hasText: `${storage} (set up by TaTok)` })
      .waitFor();
    await page.keyboard.press('Escape');
  }

  const stored = async () => {
    const kept = await Promise.all(providerLibraries.map((name) => readFile(join(storage, name))));
    return { names: (await readdir(storage)).sort(), beside: await readdir(join(storage, '..')), kept };
  };

  it('goes on with a download that was cut off, and ends in success while an image is inspected', async () => {
    const { page } = vscode;
    await chooseInExplorer(page, 'kodim23.png', 'Tokenize Image');
    await settled(inspectorOf(page));
    await openList(page);
    await line(page, 'The CUDA provider of ONNX Runtime 1.29.0 is not set up.').waitFor();
    await line(page, 'Fetch the CUDA provider').click();
    const text = (await dialog(page).textContent()) ?? '';
    storage = / are kept in (.+?)\. A download/.exec(text)?.[1] ?? '';
    await dialog(page).getByRole('button', { name: 'Fetch 3 MB' }).click();
    const cutOff = message(page).filter({ hasText: 'The download ended after 1 MB of 3 MB.' });
    await press(cutOff, 'Set Up CUDA…');
    await line(page, 'Fetch the CUDA provider').click();
    expect(await dialog(page).textContent()).toContain('1 MB of it are here already.');
    await page.waitForTimeout(messagesPauseMs);
    await dialog(page).getByRole('button', { name: 'Fetch 2 MB' }).click();
    await message(page).filter({ hasText: outcome }).waitFor();
    expect(asked).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d+-$/)]);
    const { names, beside, kept } = await stored();
    expect(names).toEqual([...providerLibraries].sort());
    expect(beside).toHaveLength(1);
    expect(kept.map(sha256)).toEqual(providerLibraries.map((name) => sha256(libraries[name])));
    await settled(inspectorOf(page));
    await expectReady(page);
  });

  it('has the inference process find the provider and all that it needs, as the report says', async () => {
    const report = await environmentReport(vscode.page);
    expect(report).toContain('- CUDA provider of ONNX Runtime 1.29.0: ');
    expect(report).toContain('(set up by TaTok)');
    for (const name of [...cudaLibraries, 'libcudnn.so.9']) {
      expect(report).toContain(`/${name} (NVIDIA’s Python packages in the workspace’s .venv)`);
    }
    expect(report).not.toContain('**missing**');
    expect(report).toContain(`- runs on **cpu**\n  - not on cuda: \`${reason}\``);
  });

  it('takes a known build out of a local archive, in place of what was there', async () => {
    const { page, folder } = vscode;
    const archive = join(folder, 'onnxruntime_gpu.whl');
    await writeFile(archive, wheel);
    await writeFile(join(storage, shared), 'damaged');
    await openList(page);
    await line(page, 'Use a local archive…').click();
    await choosePath(page, archive);
    await message(page).filter({ hasText: outcome }).waitFor();
    const { beside, kept } = await stored();
    expect(beside).toHaveLength(1);
    expect(kept.map(sha256)).toEqual(providerLibraries.map((name) => sha256(libraries[name])));
    await expectReady(page);
  });

  it('takes another build from a local folder when told to', async () => {
    const { page, folder } = vscode;
    const other = join(folder, 'other');
    const build = { ...libraries, [cuda]: sharedLibrary({ needed: [...cudaLibraries, 'libcudnn.so.9'] }) };
    await mkdir(other);
    for (const name of providerLibraries) await writeFile(join(other, name), build[name]);
    await openList(page);
    await line(page, 'Use a local folder…').click();
    await choosePath(page, `${other}/`);
    await dialog(page).getByRole('button', { name: 'Use It Anyway' }).click();
    await message(page).filter({ hasText: outcome }).waitFor();
    expect((await stored()).kept.map(sha256)).toEqual(providerLibraries.map((name) => sha256(build[name])));
    await expectReady(page);
  });
});
