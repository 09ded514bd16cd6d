/** The command line's lines: results on standard output, complaints on standard error, progress in place. */
import { terminalLine } from './report';

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function complain(line: string): void {
  process.stderr.write(`tatok: ${terminalLine(line)}\n`);
}

/** Milliseconds between two states of a line that is written in place. */
const refreshMs = 200;
/** Milliseconds between two lines where each stays. */
const lineMs = 10_000;

/** How far many images are: one line that changes on a terminal, a line now and then elsewhere. */
export class ImageProgress {
  private readonly start = performance.now();
  private done = 0;
  private failed = 0;
  private shown = performance.now();
  private inPlace = false;

  /**
   * @param total images of the whole.
   * @param before of these were done earlier.
   */
  constructor(
    private readonly total: number,
    private readonly before: number,
    private readonly stream: NodeJS.WriteStream = process.stdout,
  ) {}

  add(images: number, failed: number): void {
    this.done += images;
    this.failed += failed;
    const now = performance.now();
    if (now - this.shown < (this.stream.isTTY ? refreshMs : lineMs)) return;
    this.shown = now;
    this.show();
  }

  /** Makes room for other lines. */
  end(): void {
    if (this.inPlace) this.stream.write('\r\u001b[2K');
    this.inPlace = false;
  }

  /** Images a second since the beginning. */
  get rate(): number {
    return (1000 * this.done) / (performance.now() - this.start);
  }

  private show(): void {
    const line = [
      `${grouped(this.before + this.done)} of ${grouped(this.total)} images`,
      `${rateText(this.rate)} images/s`,
      `${durationText((this.total - this.before - this.done) / this.rate)} left`,
      ...(this.failed > 0 ? [`${grouped(this.failed)} failed`] : []),
    ].join(' · ');
    this.inPlace = this.stream.isTTY;
    this.stream.write(this.inPlace ? `\r\u001b[2K${line}` : `${line}\n`);
  }
}

/** `12.3`, `0.87`. */
export function rateText(rate: number): string {
  return rate < 10 ? rate.toFixed(2) : rate.toFixed(1);
}

/** `1,024`. */
export function grouped(count: number): string {
  return count.toLocaleString('en');
}

/** `1 row`, `1,024 rows`. */
export function counted(count: number, name: string): string {
  return `${grouped(count)} ${name}${count === 1 ? '' : 's'}`;
}

/** `40 s`, `12 min`, `3.5 h`. */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'an unknown time';
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 90 * 60 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
