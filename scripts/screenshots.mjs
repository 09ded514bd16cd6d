// Renews the screenshots of README and Marketplace from the end-to-end test: `npm run screenshots`.
import { spawnSync } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

/** Pictures that the test takes, and the names under which they are kept. */
const kept = {
  'entropy-dark': 'inspector-dark',
  'entropy-light': 'inspector-light',
  'kept-dark': 'kept-dropped',
  'attention-dark': 'attention',
  'reconstruction-dark': 'reconstruction',
  'compare-images-dark': 'compare',
};

const test = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), '--project', 'e2e'], { stdio: 'inherit' });
if (test.status === 0) {
  await mkdir(join(root, 'media/screenshots'), { recursive: true });
  for (const [name, target] of Object.entries(kept)) {
    await cp(join(root, `test/e2e/screenshots/${name}.png`), join(root, `media/screenshots/${target}.png`));
  }
  console.log('Look at media/screenshots/ before committing it.');
}
process.exitCode = test.status ?? 1;
