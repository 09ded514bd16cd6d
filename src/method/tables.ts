/** Tables for other programs. Names of files and models are text of others: in neither format is any of it more than text. */

/** null: there is no value. */
export type Cell = string | number | null;

/**
 * Comma-separated values (RFC 4180), lines ending in LF. Text that a spreadsheet would take for a formula begins with an apostrophe, as
 * OWASP recommends against CSV injection; a number is written as it is, an infinite one as `inf`, which NumPy, pandas and R read.
 */
export function csvOf(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map(csvCell).join(',')}\n`).join('');
}

function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number') return numberText(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? '' : value > 0 ? 'inf' : '-inf';
}

export interface LatexTable {
  readonly caption: string;
  readonly columns: readonly { readonly title: string; readonly align: 'l' | 'r' }[];
  /** As they are to be read: numbers already in their digits. */
  readonly rows: readonly (readonly string[])[];
}

/** A `table` for the package booktabs. Every character of TeX in its texts is escaped. */
export function latexOf({ caption, columns, rows }: LatexTable): string {
  const line = (cells: readonly string[]): string => `    ${cells.map(latexText).join(' & ')} \\\\`;
  return [
    '% Needs \\usepackage{booktabs}.',
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${latexText(caption)}}`,
    `  \\begin{tabular}{${columns.map(({ align }) => align).join('')}}`,
    '    \\toprule',
    line(columns.map(({ title }) => title)),
    '    \\midrule',
    ...rows.map(line),
    '    \\bottomrule',
    '  \\end{tabular}',
    '\\end{table}',
    '',
  ].join('\n');
}

const latexCommands: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '{': '\\{',
  '}': '\\}',
  '&': '\\&',
  '%': '\\%',
  $: '\\$',
  '#': '\\#',
  _: '\\_',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': '\\textquotedbl{}',
  ε: '$\\varepsilon$',
  β: '$\\beta$',
  '∞': '$\\infty$',
  '≤': '$\\leq$',
  '−': '$-$',
  '–': '--',
};

/** One line of text: what TeX would obey is shown, and controls are spaces. */
function latexText(text: string): string {
  const line = text.replace(/\p{Control}+/gu, ' ');
  return line.replace(/[\\{}&%$#_~^<>|"εβ∞≤−–]/g, (character) => latexCommands[character] ?? character);
}
