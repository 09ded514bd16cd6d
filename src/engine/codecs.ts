/** The photograph in common image formats, within some bytes: the encoders behind `method/anchors.ts`. */
import sharp, { type Sharp } from 'sharp';
import {
  anchorQualities,
  anchorScales,
  bestWithin,
  type AnchorFile,
  type AnchorPoint,
  type Codec,
  type Encoder,
  type Encoding,
  type FileSize,
} from '../method/anchors';
import type { Picture, Size } from '../method/types';
import { besideDecoders } from './image';
import { QualityMeter } from './metrics';

/** Encoders as they are used for small files: metadata and colour profiles are left out, the usual subsampling of colour stays. */
const encoders: Readonly<Record<Codec, (image: Sharp, quality: number) => Sharp>> = {
  webp: (image, quality) => image.webp({ quality, effort: 6 }),
  avif: (image, quality) => image.avif({ quality, effort: 4, chromaSubsampling: '4:2:0' }),
  jpeg: (image, quality) => image.jpeg({ quality, mozjpeg: true }),
};

/** One photograph in one format. Numbers are kept, files and pixels are not: a file takes milliseconds to make again. */
export class CodecLadder {
  private readonly sizes = new Map<string, FileSize>();
  private readonly files = new Map<string, AnchorFile>();

  constructor(
    private readonly codec: Codec,
    private readonly picture: Pick<Picture, 'rgb' | 'width' | 'height'>,
  ) {}

  /**
   * The best file within some bytes.
   *
   * @param beforeEach waited for before each file is made; whatever it throws ends the search.
   */
  async within(limitBytes: number, beforeEach: () => void | Promise<void>): Promise<AnchorPoint> {
    const [scale = 1] = anchorScales;
    const [quality = 1] = anchorQualities;
    await beforeEach();
    const smallest = await this.size({ scale, quality });
    const encoder: Encoder = {
      bytes: async (encoding) => {
        if (!this.sizes.has(keyOf(encoding))) await beforeEach();
        return (await this.size(encoding)).bytes;
      },
      psnr: async (encoding) => (await this.file(encoding)).psnr ?? Infinity,
    };
    const best = await bestWithin(limitBytes, encoder);
    return { codec: this.codec, limitBytes, file: best === undefined ? null : await this.file(best), smallest };
  }

  /** The picture of a file that was found, at the photograph's size: width·height·3 sRGB bytes. */
  async decode({ encoded, quality }: AnchorFile): Promise<Uint8Array> {
    return this.pixels(await this.encode(encoded, quality));
  }

  private async size(encoding: Encoding): Promise<FileSize> {
    const key = keyOf(encoding);
    const known = this.sizes.get(key);
    if (known !== undefined) return known;
    const file = await this.encode(this.encodedSize(encoding), encoding.quality);
    const size = { bytes: file.length, containerBytes: containerBytes(this.codec, file) };
    this.sizes.set(key, size);
    return size;
  }

  private async file(encoding: Encoding): Promise<AnchorFile> {
    const key = keyOf(encoding);
    const known = this.files.get(key);
    if (known !== undefined) return known;
    const encoded = this.encodedSize(encoding);
    const { quality } = encoding;
    const bytes = await this.encode(encoded, quality);
    const { psnr, ssim } = new QualityMeter(this.picture.width).add(this.picture.rgb, await this.pixels(bytes));
    const file = { ...(await this.size(encoding)), encoded, quality, psnr, ssim };
    this.files.set(key, file);
    return file;
  }

  private encodedSize({ scale }: Encoding): Size {
    const side = (pixels: number): number => Math.max(1, Math.round(scale * pixels));
    return { width: side(this.picture.width), height: side(this.picture.height) };
  }

  private encode({ width, height }: Size, quality: number): Promise<Buffer> {
    const { picture } = this;
    const raw = { width: picture.width, height: picture.height, channels: 3 } as const;
    const image = sharp(picture.rgb, { raw, limitInputPixels: false });
    const scaled = width === picture.width && height === picture.height ? image : image.resize(width, height, fill);
    return besideDecoders(() => encoders[this.codec](scaled, quality).toBuffer());
  }

  private async pixels(file: Uint8Array): Promise<Uint8Array> {
    const { width, height } = this.picture;
    return besideDecoders(() =>
      sharp(file, { limitInputPixels: false })
        .resize(width, height, fill)
        .removeAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer(),
    );
  }
}

const fill = { fit: 'fill', kernel: 'lanczos3' } as const;

function keyOf({ scale, quality }: Encoding): string {
  return `${scale} ${quality}`;
}

/**
 * Bytes of a file that are no coded picture: of WebP all but the contents of its `VP8 ` chunk (RIFF container), of AVIF all but those of
 * its `mdat` box (ISO/IEC 14496-12), of JPEG all but the scans (ITU-T T.81, B.1.1).
 */
export function containerBytes(codec: Codec, file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  switch (codec) {
    case 'webp':
      return file.length - riffPayload(view);
    case 'avif':
      return file.length - boxPayload(view);
    case 'jpeg':
      return file.length - scanBytes(file);
  }
}

function fourCharacters(view: DataView, offset: number): string {
  return String.fromCharCode(...Array.from({ length: 4 }, (_, i) => view.getUint8(offset + i)));
}

function riffPayload(view: DataView): number {
  for (let offset = 12; offset + 8 <= view.byteLength;) {
    const length = view.getUint32(offset + 4, true);
    if (/^VP8[ L]$/.test(fourCharacters(view, offset))) return length;
    offset += 8 + length + (length % 2);
  }
  return 0;
}

function boxPayload(view: DataView): number {
  for (let offset = 0; offset + 8 <= view.byteLength;) {
    const length = view.getUint32(offset);
    if (fourCharacters(view, offset + 4) === 'mdat') return length - 8;
    if (length < 8) return 0;
    offset += length;
  }
  return 0;
}

function scanBytes(file: Uint8Array): number {
  let scans = 0;
  for (let offset = 2; offset + 4 <= file.length;) {
    const marker = file[offset + 1] ?? 0;
    const end = offset + 2 + (((file[offset + 2] ?? 0) << 8) | (file[offset + 3] ?? 0));
    if (marker !== startOfScan) {
      offset = end;
      continue;
    }
    let next = end;
    // Within a scan a byte of 0xFF is followed by a zero, or by the mark of a restart.
    while (next + 1 < file.length && !(file[next] === 0xff && !isWithinScan(file[next + 1] ?? 0))) next++;
    scans += next - end;
    if (file[next + 1] === endOfImage) break;
    offset = next;
  }
  return scans;
}

const startOfScan = 0xda;
const endOfImage = 0xd9;

function isWithinScan(second: number): boolean {
  return second === 0 || (second >= 0xd0 && second <= 0xd7);
}
