/** From an encoded file to the pixels that are tokenized: sRGB, upright, opaque. */
import sharp, { type Metadata, type Sharp } from 'sharp';
import { TatokError } from '../method/errors';
import type { CropMode, CropRectangle, Picture } from '../method/types';

/** Transparent pixels are laid on white, the page most viewers and papers show them on. */
export const alphaBackground = '#ffffff';

/** What images are read from, by sharp's name of the container; AVIF is a HEIF. */
const readable = new Map([
  ['png', 'PNG'],
  ['jpeg', 'JPEG'],
  ['webp', 'WebP'],
  ['gif', 'GIF'],
  ['tiff', 'TIFF'],
  ['heif', 'AVIF'],
]);

/** sharp's own limit, 0x3FFF², in pixels: what is larger is not decoded whatever the settings say. */
const mostPixels = 0x3fff ** 2;

export interface DecodeOptions {
  /** Absent: the centre crop. */
  readonly cropMode?: CropMode | undefined;
  /** Images with more pixels are refused before they are decoded; absent or larger means sharp's own limit of 268 megapixels. */
  readonly maxMegapixels?: number | undefined;
}

/**
 * Decodes the first frame of an image as its crop mode wants it for a model of `size`×`size` pixels: short side to `size` and
 * centre cropped (`centre`), long side to `size` (`fit`), both with a Lanczos kernel, or as it is (`tiles`).
 *
 * EXIF orientation is applied, colours are converted from the embedded ICC profile (CMYK too) to sRGB, transparency is laid on
 * {@link alphaBackground}, 16 bits become 8, grey becomes three equal channels.
 *
 * @throws TatokError image-unreadable, image-unsupported or image-too-large.
 */
export async function decodeImage(file: Uint8Array, size: number, options: DecodeOptions = {}): Promise<Picture> {
  if (file.length === 0) throw new TatokError('image-unreadable', 'The file is empty.');
  const metadata = await readMetadata(file);
  const format = metadata.format;
  if (!readable.has(format)) {
    throw new TatokError('image-unsupported', `${format.toUpperCase()} images are not supported.`, supportedAdvice);
  }
  requirePixelLimit(metadata.width, metadata.height, options.maxMegapixels);
  const { width, height } = metadata.autoOrient;
  const { cropMode = 'centre' } = options;
  const { scaled, window } = cut(width, height, size, cropMode);

  const image = open(file).autoOrient();
  // sharp leaves RGB of 16 bits in the gamut of Display P3; only an explicit sRGB pipeline converts a profile there.
  if (metadata.space === 'rgb16' && metadata.icc !== undefined) image.pipelineColourspace('srgb');
  const decoded = await image
    .flatten({ background: alphaBackground })
    .resize({ ...scaled, fit: 'fill', kernel: 'lanczos3', fastShrinkOnLoad: false })
    .extract(window)
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw unreadable(error);
    });
  if (decoded.info.channels !== 3) {
    throw new TatokError('image-unsupported', `Images of ${decoded.info.channels} channels are not supported.`);
  }
  return {
    sourceWidth: width,
    sourceHeight: height,
    format: format === 'heif' ? 'avif' : format,
    cropMode,
    crop: cropOfSource(width, height, scaled, window),
    width: window.width,
    height: window.height,
    // The same memory: a large picture is not copied.
    rgb: new Uint8Array(decoded.data.buffer, decoded.data.byteOffset, decoded.data.length),
  };
}

/** What the source is scaled to, and what is cut out of that. */
function cut(width: number, height: number, size: number, mode: CropMode): { scaled: Size; window: CropRectangle } {
  switch (mode) {
    case 'centre': {
      const scaled = scaleShortSide(width, height, size);
      const [left, top] = [Math.round((scaled.width - size) / 2), Math.round((scaled.height - size) / 2)];
      return { scaled, window: { left, top, width: size, height: size } };
    }
    case 'fit': {
      const scale = size / Math.max(width, height);
      const side = (length: number) => Math.max(1, Math.round(length * scale));
      const scaled = { width: side(width), height: side(height) };
      return { scaled, window: { left: 0, top: 0, ...scaled } };
    }
    case 'tiles':
      return { scaled: { width, height }, window: { left: 0, top: 0, width, height } };
  }
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const supportedAdvice = `Convert it to one of ${[...readable.values()].join(', ')}.`;

function open(file: Uint8Array): Sharp {
  // Only the first page is read by default; limits are checked against the header before anything is decoded.
  return sharp(file, { failOn: 'error', limitInputPixels: false });
}

async function readMetadata(file: Uint8Array): Promise<Metadata> {
  if (file[0] === 0x42 && file[1] === 0x4d) {
    throw new TatokError('image-unsupported', 'BMP images are not supported.', supportedAdvice);
  }
  try {
    return await open(file).metadata();
  } catch (error) {
    throw unreadable(error);
  }
}

function requirePixelLimit(width: number, height: number, maxMegapixels: number | undefined): void {
  const pixels = width * height;
  if (pixels > mostPixels) {
    throw new TatokError(
      'image-unsupported',
      `The image has ${width}×${height} pixels; more than ${megapixels(mostPixels)} megapixels cannot be decoded.`,
      'Scale it down.',
    );
  }
  if (maxMegapixels === undefined || pixels <= maxMegapixels * 1e6) return;
  throw new TatokError(
    'image-too-large',
    `The image has ${width}×${height} pixels, more than the limit of ${megapixels(maxMegapixels * 1e6)} megapixels.`,
    'Scale it down, or raise the limit of megapixels.',
  );
}

function megapixels(pixels: number): string {
  return Number((pixels / 1e6).toPrecision(4)).toString();
}

/** torchvision's Resize(size): the short side becomes `size`, the long one is scaled and truncated. */
function scaleShortSide(width: number, height: number, size: number): Size {
  return width <= height
    ? { width: size, height: Math.max(size, Math.floor((size * height) / width)) }
    : { width: Math.max(size, Math.floor((size * width) / height)), height: size };
}

/** The crop in whole pixels of the upright source. */
function cropOfSource(width: number, height: number, scaled: Size, window: CropRectangle): CropRectangle {
  const left = Math.round((window.left * width) / scaled.width);
  const top = Math.round((window.top * height) / scaled.height);
  return {
    left,
    top,
    width: Math.min(width - left, Math.round((window.width * width) / scaled.width)),
    height: Math.min(height - top, Math.round((window.height * height) / scaled.height)),
  };
}

/** libvips' message in one sentence: what kind of failure, and the first line of what it said. */
function unreadable(error: unknown): TatokError {
  const message = error instanceof Error ? error.message : String(error);
  if (/unsupported image format/i.test(message)) {
    return new TatokError('image-unreadable', 'The file is not an image of a supported format.', supportedAdvice, {
      cause: error,
    });
  }
  const detail = (message.split('\n')[0] ?? '').trim().replace(/\.$/, '');
  return new TatokError('image-unreadable', `The image is damaged or cut short (${detail}).`, undefined, {
    cause: error,
  });
}
