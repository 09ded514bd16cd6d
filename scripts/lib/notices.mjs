import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const licences = resolve(import.meta.dirname, '../licences');

/**
 * Texts that their packages do not bring along, in scripts/licences/: from the repositories of the packages' makers, for ONNX Runtime's
 * notices from its Python wheel of the same version, and for code of others in a package by what stands above it.
 * @type {readonly { packages: RegExp, files: readonly string[] }[]}
 */
const kept = [
  { packages: /^@microsoft\/fast-/, files: ['fast.txt'] },
  { packages: /^d3-array$/, files: ['quickselect.txt'] },
  { packages: /^hyparquet-compressors$/, files: ['brotli.txt'] },
  { packages: /^hyparquet-writer$/, files: ['snappyjs.txt'] },
  { packages: /^onnxruntime-common$/, files: ['onnxruntime.txt'] },
  { packages: /^onnxruntime-node$/, files: ['onnxruntime.txt', 'onnxruntime-third-party.txt', 'directx.txt'] },
];

/** Parts of libvips' packages besides libvips; their readme names the licence of each. */
const libvips = ['lgpl-3.0.txt', 'libvips.txt'];

/**
 * The licence texts of packages, as their licences ask of a distributor.
 * @param {readonly string[]} directories of the packages
 */
export async function thirdPartyNotices(directories) {
  const entries = await Promise.all([...new Set(directories)].map(notice));
  return [
    'TaTok Inspector contains the following packages.',
    ...entries.sort((a, b) => a.name.localeCompare(b.name)).map(({ text }) => text),
  ].join(`\n\n${'-'.repeat(80)}\n\n`);
}

/** @param {string} directory */
async function notice(directory) {
  const { name, version, license, author, homepage } = JSON.parse(
    await readFile(join(directory, 'package.json'), 'utf8'),
  );
  const own = (await readdir(directory)).filter((file) =>
    /^(licen[cs]e|copying|copyright|notice|thirdparty)/i.test(file),
  );
  const others = kept.filter(({ packages }) => packages.test(name)).flatMap(({ files }) => files);
  const holdsLibvips = String(license).includes('LGPL');
  if (holdsLibvips) others.push(...libvips);
  if (![...own, ...others].some((file) => !/^(copyright|notice|thirdparty)/i.test(file))) {
    throw new Error(`${name} ${version} (${license}) brings no licence text along; put it into scripts/licences.`);
  }
  const files = [
    ...(holdsLibvips ? [join(directory, 'README.md')] : []),
    ...own.sort().map((file) => join(directory, file)),
    ...others.map((file) => join(licences, file)),
  ];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const authors = typeof author === 'string' ? author : author?.name;
  const title = [`${name} ${version} (${license})`, authors, homepage].filter(Boolean).join('\n');
  return { name, text: [title, ...texts.map((text) => text.trim())].join('\n\n') };
}
