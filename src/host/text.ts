/**
 * Text of others on its way to people: file names, keys of manifests, messages of libraries and of the file system.
 *
 * VS Code reads links (`[text](command:…)`) and icons (`$(name)`) out of bare strings, in notifications, lists, progress and the status
 * bar, and offers no escape from them. So these surfaces take {@link Plain} text and {@link Markdown} only, and both are made here, where
 * each value is stripped of that meaning; the words of a template are the extension's own and keep it.
 */

declare const plainBrand: unique symbol;

/** Text in which no value of others is a link or an icon, breaks the line or turns the direction of writing. */
export type Plain = string & { readonly [plainBrand]: true };

/** Longer values would push the rest of a sentence out of sight; VS Code itself cuts notifications after 1,000 characters. */
const longestValue = 500;

/** Keeps characters apart that mean something only side by side; fonts draw nothing for it and lines do not break there. */
const wordJoiner = '\u2060';

/** Makes plain text of a template: plain`${name} is not tokenized yet`. */
export function plain(words: TemplateStringsArray, ...values: readonly (string | number)[]): Plain {
  const pieces = words.flatMap((word, i) => [word, ...values.slice(i, i + 1).map((value) => inert(String(value)))]);
  return pieces.reduce(besides, '') as Plain;
}

/** Joins sentences; those that are absent are left out. */
export function sentences(...parts: readonly (string | undefined)[]): Plain {
  const given = parts.flatMap((part) => (part === undefined || part === '' ? [] : plain`${part}`));
  return given.join(' ') as Plain;
}

/** A template's word and a value could make a link or an icon together. */
function besides(text: string, piece: string): string {
  return /[\]$]$/.test(text) && piece.startsWith('(') ? text + wordJoiner + piece : text + piece;
}

function inert(value: string): string {
  return readable(short(value)).replace(/[\]$](?=\()/g, `$&${wordJoiner}`);
}

function short(value: string): string {
  return value.length > longestValue ? `${value.slice(0, longestValue)}…` : value;
}

/** One line; controls, those of the direction of writing included, are shown as unknown characters. */
function readable(value: string): string {
  return value
    .replace(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, ' ')
    .replace(/[\p{Control}\p{Surrogate}\p{Bidi_Control}]/gu, '\ufffd');
}

class MarkdownSource {
  constructor(readonly source: string) {}
}

/** Markdown in which no value of others is markup. */
export type Markdown = MarkdownSource;

/** Makes Markdown of a template whose strings are shown letter by letter; Markdown in it stays Markdown. */
export function formatted(words: TemplateStringsArray, ...values: readonly (string | number | Markdown)[]): Markdown {
  const sourceOf = (value: string | number | Markdown): string =>
    value instanceof MarkdownSource ? value.source : escaped(String(value));
  return new MarkdownSource(String.raw({ raw: words }, ...values.map(sourceOf)));
}

/**
 * CommonMark shows punctuation after a backslash as it is. Addresses are links even without brackets, and what begins a line may begin
 * a list or a heading; other punctuation stays, so that the source can be read as well.
 */
function escaped(value: string): string {
  return readable(short(value)).replace(/[\\`*_{}[\]<>#|~!&@:^$]|^[-+=]|(?<=^\d+)[.)]|(?<=www)\./gi, '\\$&');
}

/** Text in the type of code: letter by letter as well, and unchanged for those who read the source. */
export function code(value: string): Markdown {
  const text = readable(value);
  const runs = text.match(/`+/g) ?? [];
  const fence = '`'.repeat(1 + Math.max(0, ...runs.map(({ length }) => length)));
  const space = /^[ `]|[ `]$/.test(text) ? ' ' : '';
  return new MarkdownSource(text === '' ? '' : `${fence}${space}${text}${space}${fence}`);
}

export function lines(parts: readonly Markdown[]): Markdown {
  return new MarkdownSource(parts.map(({ source }) => source).join('\n'));
}
