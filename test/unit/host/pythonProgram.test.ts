import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { interpreterIn, runPython } from '../../../src/host/pythonProgram';
import { until } from '../until';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'tatok-python-'))));
afterAll(() => rm(folder, { recursive: true }));

/** Node stands for Python: what is run is no matter here. */
const run = (script: string, signal = new AbortController().signal) => {
  const lines: string[] = [];
  const ended = runPython(process.execPath, ['-e', script], folder, { onLine: (line) => lines.push(line), signal });
  return { lines, ended };
};

describe('a program', () => {
  it('tells its lines, its status and the last lines of its errors', async () => {
    const { lines, ended } = run('console.log("one"); console.error("two\\nthree"); process.exitCode = 3');
    expect(await ended).toEqual({ status: 3, errors: ['two', 'three'] });
    expect(lines.sort()).toEqual(['one', 'three', 'two']);
  });

  it('keeps no more than the last lines of long errors', async () => {
    const { errors } = await run('for (let i = 0; i < 100; i++) console.error(i)').ended;
    expect([errors.length, errors[0], errors.at(-1)]).toEqual([40, '60', '99']);
  });

  it('is ended with all that it started', async () => {
    const abort = new AbortController();
    const pids = join(folder, 'pids');
    const forever = 'setInterval(() => {}, 1000)';
    const script = `const { pid } = require('child_process').spawn(process.execPath, ['-e', '${forever}']);
      require('fs').writeFileSync('${pids}', String(pid)); ${forever}`;
    const { ended } = run(script, abort.signal);
    const started = () => readFile(pids, 'utf8').catch(() => '');
    await until(async () => (await started()) !== '');
    const child = Number(await started());
    abort.abort();
    expect((await ended).status).toBeNull();
    await until(() => isGone(child));
  });

  it('is not started after it was cancelled', async () => {
    expect(await run('console.log("ran")', AbortSignal.abort()).ended).toEqual({ status: null, errors: [] });
  });

  it('says why it could not be started', async () => {
    const signal = new AbortController().signal;
    const ended = await runPython(join(folder, 'nothing'), [], folder, { onLine: () => undefined, signal });
    expect(ended.errors.join()).toContain('ENOENT');
    expect(ended.status).not.toBe(0);
  });
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

describe('an interpreter', () => {
  it.each([
    ['venv', 'bin/python'],
    ['conda', 'bin/python3'],
    ['windows', 'Scripts/python.exe'],
  ])('is found in an environment as %s lays it out', async (name, path) => {
    const environment = join(folder, name);
    const file = join(environment, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, '');
    expect(await interpreterIn(environment)).toBe(file);
    expect(await interpreterIn(file)).toBe(path.endsWith('.exe') || path.includes('python') ? file : undefined);
  });

  it('is not found where there is none, or in a file of another kind', async () => {
    expect(await interpreterIn(join(folder, 'absent'))).toBeUndefined();
    await writeFile(join(folder, 'notes.txt'), '');
    expect(await interpreterIn(join(folder, 'notes.txt'))).toBeUndefined();
  });
});
