/** Texts of a plot that stands without the page around it. */
export interface PlotTexts {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

const namespace = 'http://www.w3.org/2000/svg';
const margin = { top: 44, right: 16, bottom: 20, left: 12 };
const ink = '#1f1f1f';
const faint = '#595959';

/** Marks that follow the pointer or take it, and titles that a figure has at its own places. */
const pointerMarks = '.grip, .focused-dot, .focused-mark, .axis-title';

/** The page's style sheet in light colours, as attributes that every program understands. */
const styles: readonly (readonly [selector: string, attributes: Readonly<Record<string, string>>])[] = [
  ['.axis', { 'font-size': '10', 'font-family': 'sans-serif', color: faint }],
  ['.axis path, .axis line', { stroke: faint, 'stroke-opacity': '0.5' }],
  ['.axis text', { fill: faint }],
  ['.curve-line', { fill: 'none', stroke: '#1a85ff', 'stroke-width': '2', 'stroke-linejoin': 'round' }],
  ['.anchor-line', { fill: 'none', stroke: faint, 'stroke-width': '1.25' }],
  ['.of-avif .anchor-line', { 'stroke-dasharray': '5 2' }],
  ['.of-jpeg .anchor-line', { 'stroke-dasharray': '1.5 2' }],
  ['.anchor-dot', { fill: faint }],
  ['.anchor-label', { fill: faint, 'font-size': '9', 'font-family': 'sans-serif' }],
  ['.threshold', { stroke: '#b5500a', 'stroke-width': '1.25', 'stroke-dasharray': '4 3' }],
  ['.kept-dot', { fill: '#b5500a' }],
  ['.dot-mark', { fill: '#ffffff', stroke: '#1a85ff', 'stroke-width': '1.5' }],
  ['.plot-label', { fill: ink, 'font-size': '11', 'font-family': 'sans-serif' }],
];

/** Attributes that say what an element is to the page, not how it looks. */
const pageOnly = /^(class|style|role|tabindex|aria-.*|data-.*)$/;

/** A plot of the page as a file of its own: nothing refers to the page's style, and title and axes are named. */
export function standaloneSvg(plot: SVGSVGElement, { title, xLabel, yLabel }: PlotTexts): string {
  const { width, height } = plot.getBoundingClientRect();
  const copy = plot.cloneNode(true) as SVGSVGElement;
  copy.querySelectorAll(pointerMarks).forEach((element) => element.remove());
  for (const [selector, attributes] of styles) {
    copy.querySelectorAll(selector).forEach((element) => setAll(element, attributes));
  }
  for (const element of copy.querySelectorAll('*')) {
    for (const name of element.getAttributeNames()) if (pageOnly.test(name)) element.removeAttribute(name);
  }
  const body = create('g', { transform: `translate(${margin.left} ${margin.top})` });
  body.append(...copy.childNodes);
  const fullWidth = margin.left + width + margin.right;
  const fullHeight = margin.top + height + margin.bottom;
  const svg = create('svg', {
    width: String(fullWidth),
    height: String(fullHeight),
    viewBox: `0 0 ${fullWidth} ${fullHeight}`,
  });
  const name = create('title', {});
  name.textContent = title;
  svg.append(
    name,
    create('rect', { width: String(fullWidth), height: String(fullHeight), fill: '#ffffff' }),
    text(title, margin.left, 18, { 'font-size': '12', 'font-weight': '600', fill: ink }),
    text(yLabel, margin.left, 36, { 'font-size': '10', fill: faint }),
    text(xLabel, margin.left + width / 2 + 18, fullHeight - 8, {
      'font-size': '10',
      fill: faint,
      'text-anchor': 'middle',
    }),
    body,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(svg)}\n`;
}

function text(content: string, x: number, y: number, attributes: Readonly<Record<string, string>>): SVGElement {
  const element = create('text', { x: String(x), y: String(y), 'font-family': 'sans-serif', ...attributes });
  element.textContent = content;
  return element;
}

function create(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const element = document.createElementNS(namespace, name);
  setAll(element, attributes);
  return element;
}

function setAll(element: Element, attributes: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
