/** Conditions on rows of a token data set, `psnr < 18 and kept >= 3`: comparisons of columns with numbers, and nothing else. */
import { TatokError } from './errors';

const comparisons = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
} as const satisfies Record<string, (a: number, b: number) => boolean>;

const condition =
  /^\s*(?<name>\w+)\s*(?<comparison><=|>=|!=|<|>|=)\s*(?<value>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/i;

/**
 * A test for rows out of `column comparison number`, any number of them joined by `and`. A column without a value meets no condition.
 *
 * @param columns that may be compared.
 * @throws TatokError bad-settings for anything else.
 */
export function rowFilter<Name extends string>(
  text: string,
  columns: readonly Name[],
): (row: Readonly<Record<Name, unknown>>) => boolean {
  const tests = text.split(/\band\b/i).map((part) => {
    const { name = '', comparison = '', value } = condition.exec(part)?.groups ?? {};
    const column = columns.find((known) => known === name);
    if (column === undefined || !isComparison(comparison)) {
      throw new TatokError(
        'bad-settings',
        `“${part.trim()}” is no condition.`,
        `Write a column, one of ${Object.keys(comparisons).join(' ')}, and a number, with “and” between conditions; the columns are ${columns.join(', ')}.`,
      );
    }
    const compare = comparisons[comparison];
    return (row: Readonly<Record<Name, unknown>>) => {
      const found = row[column];
      return typeof found === 'number' && compare(found, Number(value));
    };
  });
  return (row) => tests.every((test) => test(row));
}

function isComparison(text: string): text is keyof typeof comparisons {
  return Object.hasOwn(comparisons, text);
}
