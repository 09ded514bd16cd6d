/** A table as RFC 4180 has it, with line feeds: a text that could be taken for more than one value stands in quotes. */
export function csv(table: readonly (readonly (string | number)[])[]): string {
  return table.map((row) => `${row.map((value) => quoted(String(value))).join(',')}\n`).join('');
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
