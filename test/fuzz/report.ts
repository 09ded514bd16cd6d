/** What the reports of both commands have in common. */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { format, resolveConfig } from 'prettier';

/** The machine that a report is of. */
export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} cores of ${cpu?.model.trim() ?? 'an unknown processor'}, ${process.platform}, Node.js ${process.versions.node}`;
}

export function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const [first, ...others] = heads;
  const line = (cells: readonly (string | number | undefined)[]) => `| ${cells.join(' | ')} |`;
  return [line([first, ...others]), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Writes a file of Markdown as the project formats it. */
export async function writeMarkdown(path: string, text: string): Promise<void> {
  await writeFile(path, await format(text, { ...(await resolveConfig(path)), parser: 'markdown' }));
}
