import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvOf, latexOf } from '../../../src/method/tables';

/** Reads CSV as RFC 4180 defines it, one character after the other. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  let [row, cell, quoted]: [string[], string, boolean] = [[], '', false];
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? '';
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[i + 1] === '"') {
        cell += '"';
        i++;
      } else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ',') {
      row.push(cell);
      cell = '';
    } else if (character === '\n') {
      rows.push([...row, cell]);
      [row, cell] = [[], ''];
    } else cell += character;
  }
  return rows;
}

describe('CSV', () => {
  it('is read again as the text that it was, whatever that is', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', '1', '"', ',', '\n', '\r', ';', "'", '=', '+', '-', '@', ' ', 'é'),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1 }), (rows) => {
        const read = readCsv(csvOf(rows)).map((row) => row.map((cell) => cell.replace(/^'(?=[=+\-@\t\r])/, '')));
        // An apostrophe of the text's own before such a sign is the one ambiguity, and no formula either.
        fc.pre(rows.flat().every((cell) => !/^'[=+\-@\t\r]/.test(cell)));
        expect(read).toEqual(rows);
      }),
      { seed: 9 },
    );
  });

  it('has no cell that a spreadsheet would compute', () => {
    expect(csvOf([['=HYPERLINK("http://evil")', '+1', '-cat.png', '@x', 'a=b']])).toBe(
      `"'=HYPERLINK(""http://evil"")",'+1,'-cat.png,'@x,a=b\n`,
    );
  });

  it('has numbers as they are, and none where there is none', () => {
    expect(csvOf([[0.5, -3, Infinity, NaN, null]])).toBe('0.5,-3,inf,,\n');
  });
});

describe('LaTeX', () => {
  const one = (text: string) => latexOf({ caption: 'c', columns: [{ title: 't', align: 'l' }], rows: [[text]] });
  const row = (text: string) => one(text).split('\n')[8]?.slice(4);

  it('is a table of booktabs', () => {
    const columns = [
      { title: 'system', align: 'l' },
      { title: 'PSNR, dB', align: 'r' },
    ] as const;
    expect(latexOf({ caption: '24 images', columns, rows: [['tatok_s', '21.5']] })).toBe(
      String.raw`% Needs \usepackage{booktabs}.
\begin{table}
  \centering
  \caption{24 images}
  \begin{tabular}{lr}
    \toprule
    system & PSNR, dB \\
    \midrule
    tatok\_s & 21.5 \\
    \bottomrule
  \end{tabular}
\end{table}
`,
    );
  });

  it('obeys nothing in a name', () => {
    expect(row(String.raw`\input{/etc/passwd} & 100% $x$ #_~^`)).toBe(
      String.raw`\textbackslash{}input\{/etc/passwd\} \& 100\% \$x\$ \#\_\textasciitilde{}\textasciicircum{} \\`,
    );
    expect(row('a\n\\end{table}')).toBe(String.raw`a \textbackslash{}end\{table\} \\`);
    expect(row('ε 0.8 ≤ ∞')).toBe(String.raw`$\varepsilon$ 0.8 $\leq$ $\infty$ \\`);
  });
});
