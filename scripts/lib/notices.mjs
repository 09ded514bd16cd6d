import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The licence texts of packages, as their licences ask of whoever distributes them.
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
  const files = (await readdir(directory))
    .filter((file) => /^(licen[cs]e|copying|notice|thirdparty)/i.test(file))
    .sort();
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
  const authors = typeof author === 'string' ? author : author?.name;
  const title = [`${name} ${version} (${license})`, authors, homepage].filter(Boolean).join('\n');
  return { name, text: [title, ...texts.map((text) => text.trim())].join('\n\n') };
}
