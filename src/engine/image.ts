/** From an encoded file to the pixels that are tokenized: sRGB, upright, opaque. */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflate } from 'node:zlib';
import { Semaphore } from 'async-mutex';
import sharp, {
  type FailOnOptions as FailOn,
  type Metadata,
  type OutputInfo,
  type Sharp,
  type SharpOptions,
} from 'sharp';
import { isProfileOf, opaqueSrgb, profileSpace, type Samples } from './colour';
import { inspectContainer } from './containers';
import { formatAdvice, type Container } from './imageFormats';
import { TatokError } from '../method/errors';
import { requirePixelLimit } from '../method/imageLimits';
import type { CropMode, CropRectangle, ModelDescription, PageChoice, Picture, Size } from '../method/types';
import { croppedTo, halvedFor, resample } from './resample';

// The loaders of the formats that are read, and no other: some reach much code, or take for ever, before any limit is checked.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['Png', 'Jpeg', 'Webp', 'Nsgif', 'Tiff', 'Heif'].map((format) => `VipsForeignLoad${format}`),
});

/** Model images that a picture is decoded for. */
export type ImageOf = Pick<ModelDescription, 'imageSize' | 'resample'>;

export interface DecodeOptions {
  /** Absent: the centre crop. */
  readonly cropMode?: CropMode | undefined;
  /** Images with more pixels are refused before they are decoded; absent or larger means sharp's own limit of 268 megapixels. */
  readonly maxMegapixels?: number | undefined;
}

/**
 * Decodes the first frame or page of an image as its crop mode wants it for a model: scaled to cover the model image and cropped to its
 * centre (`centre`), scaled to lie within (`fit`), both as the model resamples, or as it is (`tiles`).
 *
 * EXIF orientation is applied, colours are converted to sRGB from what the container says of them (an ICC profile, CMYK too; PNG's cICP
 * or gAMA and cHRM; AVIF's nclx), transparency is laid on white, 16 bits become 8, grey becomes three equal channels.
 *
 * @throws TatokError image-unreadable, image-unsupported or image-too-large.
 */
export async function decodeImage(file: Uint8Array, model: ImageOf, options: DecodeOptions = {}): Promise<Picture> {
  if (file.length === 0) throw new TatokError('image-unreadable', 'The file is empty.');
  const container = inspectContainer(file);
  try {
    return await besideDecoders(() => decodeContainer({ ...container, alone: false }, model, options));
  } catch {
    return decoders.runExclusive(() => decodeContainer({ ...container, alone: true }, model, options), mostDecoders);
  }
}

/**
 * All decoders of this process share libvips' text of the last errors, which says whether samples of a JPEG were lost: where anything
 * is wrong or unusual, a file is decoded anew while no other is.
 */
const mostDecoders = 1024;
const decoders = new Semaphore(mostDecoders);

/** Other work of libvips, which clears that text when it ends: it runs beside all but a file that is decoded alone. */
export async function besideDecoders<T>(work: () => Promise<T>): Promise<T> {
  return decoders.runExclusive(work, 1);
}

type OpenContainer = Container & {
  /** No other file is decoded at this time: libvips' text is about this one. */
  readonly alone: boolean;
};

async function decodeContainer(container: OpenContainer, model: ImageOf, options: DecodeOptions): Promise<Picture> {
  const metadata = await open(container).metadata().catch(refuse);
  const decoded = metadata.autoOrient;
  const { width, height } = container.canvas ?? decoded;
  requirePixelLimit(width, height, options.maxMegapixels);
  requirePixelLimit(decoded.width, decoded.height, options.maxMegapixels);
  const { cropMode = 'centre' } = options;
  const { scaled, window } = cut({ width, height }, model, cropMode);
  await requireSoundStreams(container);
  const frame = await decodeWhole(container, metadata);
  const whole = container.canvas === undefined ? frame : onCanvas(frame, decoded, container.canvas);
  return {
    sourceWidth: width,
    sourceHeight: height,
    format: container.format,
    page: container.page ?? pageOf(metadata),
    cropMode,
    crop: cropOfSource(width, height, scaled, window),
    width: window.width,
    height: window.height,
    rgb: cropMode === 'tiles' ? whole : await resized(whole, { width, height }, scaled, window, model),
  };
}

/** The whole upright picture, as sRGB bytes on white. */
async function decodeWhole(container: OpenContainer, metadata: Metadata): Promise<Uint8Array> {
  const { tiff, space, premultiplied = false } = container;
  if (tiff !== undefined && tiff.kind !== 'unsigned') {
    const samples = { data: await unsignedGrey(container, tiff.kind), channels: 1, colours: 1 } as const;
    return opaqueSrgb(samples, metadata.icc && profileSpace(metadata.icc, 1));
  }
  const sixteenBits = metadata.depth === 'ushort' && metadata.space !== 'cmyk';
  // sharp takes alpha for what no one says is alpha, and rounds down where it lays it on white.
  const moreThanColour = metadata.hasAlpha || (tiff !== undefined && tiff.count > tiff.colours);
  if (space === undefined && !sixteenBits && !moreThanColour) {
    const { data } = await decode(container, (image) => image.toColourspace('srgb').raw({ depth: 'uchar' }));
    return bytesOf(data);
  }

  const grey = metadata.space === 'grey16';
  const colours = grey ? 1 : 3;
  const icc = space === undefined ? metadata.icc : undefined;
  const ownSpace = space ?? (icc && (sixteenBits || premultiplied) ? profileSpace(icc, colours) : undefined);
  // Profiles that are more than curves and primaries are left to Little CMS.
  const byProfile = ownSpace === undefined && icc !== undefined && (!sixteenBits || isProfileOf(icc, colours));
  if (byProfile && (grey || premultiplied)) {
    throw new TatokError(
      'image-unsupported',
      `${grey ? 'Grey images of 16 bits' : 'AVIF images with premultiplied alpha'} and this kind of colour profile are not supported.`,
      'Convert it to sRGB.',
    );
  }
  const { data, info } = await decode(
    container,
    (image) => {
      if (!sixteenBits) return image.toColourspace('srgb').raw({ depth: 'uchar' });
      const native = image.toColourspace(grey ? 'grey16' : 'rgb16');
      return (byProfile ? native.withIccProfile('srgb') : native).raw({ depth: 'ushort' });
    },
    { ignoreIcc: !byProfile },
  );
  const alpha = tiff ? tiff.alpha && tiff.alpha - tiff.colours + colours : metadata.hasAlpha ? colours : undefined;
  const samples: Samples = {
    data: sixteenBits ? wordsOf(data) : bytesOf(data),
    channels: info.channels,
    colours,
    alpha,
    premultiplied,
  };
  return opaqueSrgb(samples, ownSpace);
}

/** Grey samples of a signed or floating-point TIFF, black to white as 0 to 65535. */
async function unsignedGrey(container: OpenContainer, kind: 'signed' | 'float'): Promise<Uint16Array> {
  if (kind === 'signed') {
    const { channels } = await open(container).stats().catch(refuse);
    if (channels.some(({ min }) => min < 0)) {
      const message = 'TIFF images with negative samples are not supported.';
      throw new TatokError('image-unsupported', message, 'Convert it to unsigned integers.');
    }
    const { data } = await decode(container, (image) => image.toColourspace('grey16').raw({ depth: 'ushort' }));
    return wordsOf(data).map((value) => Math.round((value * 65535) / 32767));
  }
  const { data } = await decode(container, (image) => image.toColourspace('b-w').raw({ depth: 'float' }));
  const values = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  // Something may be lost to rounding.
  if (!values.every((value) => value >= -1e-6 && value <= 1 + 1e-6)) {
    const message = 'TIFF images of floating-point numbers outside of 0 to 1 are not supported.';
    throw new TatokError('image-unsupported', message, 'Scale its samples to 0 to 1.');
  }
  return Uint16Array.from(values, (value) => Math.round(65535 * Math.min(1, Math.max(0, value))));
}

interface Decoded {
  readonly data: Buffer;
  readonly info: OutputInfo;
}

/** Decodes raw samples of the whole upright picture. @throws TatokError image-unreadable or image-unsupported. */
async function decode(
  container: OpenContainer,
  conversion: (image: Sharp) => Sharp,
  options: SharpOptions = {},
): Promise<Decoded> {
  const attempt = ({ file }: Pick<Container, 'file'>, failOn: FailOn) =>
    conversion(open({ file }, { ...options, failOn }).autoOrient()).toBuffer({ resolveWithObject: true });
  if (container.format === 'jpeg') return decodeJpeg(container, attempt);
  // A tile of a TIFF that cannot be decoded is a warning, and black.
  return attempt(container, container.format === 'tiff' ? 'warning' : 'error').catch(refuse);
}

/**
 * Warnings of libjpeg about lost samples, or before which such may come: a scan that has more than its samples, where another follows.
 * Of the other warnings none but that of something behind the last scan is left here ({@link inspectContainer} mends their causes).
 */
const lostSamples =
  /premature end|bad huffman code|before marker 0x(?!d9)|instead of RST|bad arithmetic code|bad progression/i;

async function decodeJpeg(
  container: OpenContainer,
  attempt: (container: Pick<Container, 'file'>, failOn: FailOn) => Promise<Decoded>,
): Promise<Decoded> {
  const { file, lacksEnd, alone } = container;
  if (lacksEnd === undefined) {
    return attempt({ file }, 'warning').catch((error: unknown) => {
      if (!alone || lostSamples.test(messageOf(error))) refuse(error);
      return attempt({ file }, 'error').catch(refuse);
    });
  }
  if (!lacksEnd.complete) throw damaged('it lacks scans');
  const ended = (...padding: number[]) => ({ file: Buffer.concat([file, Buffer.of(...padding, 0xff, 0xd9)]) });
  const decoded = await attempt(ended(), 'warning').catch(refuse);
  // Complete but for its end marker, a JPEG is whole. libvips does not see what the last row of blocks lacks, but this would be
  // decoded from whatever follows.
  const other = await attempt(ended(...new Uint8Array(64).fill(0xaa)), 'error').catch(refuse);
  if (!decoded.data.equals(other.data)) throw damaged('it lacks rows');
  return decoded;
}

/**
 * libtiff does not look at the checksums of Deflate. The work is bounded: streams are in different places of the file, and none may
 * unpack to much more than its block has pixels (libtiff leaves the rest aside).
 *
 * @throws TatokError image-unreadable where a stream is not sound.
 */
async function requireSoundStreams({ file, tiff }: Container): Promise<void> {
  if (tiff === undefined) return;
  const { streams, blockBytes } = tiff.deflated;
  const most = 2 * blockBytes + 1024;
  if (streams.reduce((sum, { length }) => sum + length, 0) > file.length) throw damaged('its parts overlap');
  for (const { offset, length } of streams) {
    let unpacked = 0;
    // Nothing is kept of what is unpacked.
    const sink = new Writable({
      write: (chunk: Uint8Array, _encoding, done) => {
        unpacked += chunk.length;
        done(unpacked > most ? new Error('a part of it holds more than its pixels') : null);
      },
    });
    await pipeline([file.subarray(offset, offset + length)], createInflate(), sink).catch((error: unknown) => {
      throw damaged(messageOf(error), error);
    });
  }
}

/**
 * A frame on the white canvas of its GIF. The decoder leaves what is bare black, takes common sizes of screens for no canvas at all,
 * and a canvas for as large as all of its frames.
 */
function onCanvas(rgb: Uint8Array, decoded: Size, canvas: NonNullable<Container['canvas']>): Uint8Array {
  const { left, top, ...frame } = canvas.covered;
  const same = (a: Size, b: Size) => a.width === b.width && a.height === b.height;
  if (same(canvas, decoded) && same(canvas, frame)) return rgb;
  const whole = new Uint8Array(3 * canvas.width * canvas.height).fill(255);
  for (let y = top; y < Math.min(decoded.height, top + frame.height); y++) {
    const row = rgb.subarray(
      3 * (y * decoded.width + left),
      3 * (y * decoded.width + Math.min(decoded.width, left + frame.width)),
    );
    whole.set(row, 3 * (y * canvas.width + left));
  }
  return whole;
}

/** The same memory: a large picture is not copied. */
function bytesOf(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}

function wordsOf(data: Buffer): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
}

async function resized(
  rgb: Uint8Array,
  from: Size,
  to: Size,
  window: CropRectangle,
  { resample: resampling, imageSize }: ImageOf,
): Promise<Uint8Array> {
  if (resampling !== 'lanczos3') {
    const halved = resampling === 'adm' ? halvedFor(rgb, from, imageSize) : { rgb, size: from };
    const kernel = resampling === 'bilinear' ? 'bilinear' : 'bicubic';
    return croppedTo(resample(halved.rgb, halved.size, to, kernel), to, window);
  }
  const data = await sharp(rgb, { raw: { ...from, channels: 3 }, limitInputPixels: false })
    .resize({ ...to, fit: 'fill', kernel: 'lanczos3' })
    .extract(window)
    .raw()
    .toBuffer();
  return bytesOf(data);
}

/** The scaled size of the source, and the window that is cut out of it. */
function cut(
  source: Size,
  { imageSize, resample: resampling }: ImageOf,
  mode: CropMode,
): { scaled: Size; window: CropRectangle } {
  switch (mode) {
    case 'centre': {
      const scaled = resampling === 'lanczos3' ? covering(source, imageSize) : coveringRounded(source, imageSize);
      // torchvision rounds where Python's crop of whole pixels rounds down.
      const half = resampling === 'lanczos3' ? Math.round : Math.floor;
      const left = half((scaled.width - imageSize.width) / 2);
      const top = half((scaled.height - imageSize.height) / 2);
      return { scaled, window: { left, top, ...imageSize } };
    }
    case 'fit': {
      const scale = Math.min(imageSize.width / source.width, imageSize.height / source.height);
      const side = (length: number) => Math.max(1, Math.round(length * scale));
      const scaled = { width: side(source.width), height: side(source.height) };
      return { scaled, window: { left: 0, top: 0, ...scaled } };
    }
    case 'tiles':
      return { scaled: source, window: { left: 0, top: 0, ...source } };
  }
}

function open({ file }: Pick<Container, 'file'>, options: SharpOptions = {}): Sharp {
  // Limits are checked against the header before anything is decoded, and channels by the container.
  return sharp(file, { failOn: 'error', limitInputPixels: false, limitInputChannels: false, ...options });
}

/** Of a collection of pictures in one AVIF. */
function pageOf({ pages = 1, pagePrimary = 0, format }: Metadata): PageChoice | undefined {
  return format === 'heif' && pages > 1 ? { unit: 'page', number: pagePrimary + 1, count: pages } : undefined;
}

/**
 * torchvision's Resize(size) where the model image is square: the side that has to be scaled most becomes the model's, the other one is
 * scaled and truncated.
 */
function covering({ width, height }: Size, size: Size): Size {
  return width * size.height <= height * size.width
    ? { width: size.width, height: Math.max(size.height, Math.floor((size.width * height) / width)) }
    : { width: Math.max(size.width, Math.floor((size.height * width) / height)), height: size.height };
}

/** The same with the other side rounded half to even, as Python rounds: the protocol of the tokenizers that are imported. */
function coveringRounded({ width, height }: Size, size: Size): Size {
  const scale = Math.max(size.width / width, size.height / height);
  const side = (length: number, least: number) => Math.max(least, roundedToEven(length * scale));
  return { width: side(width, size.width), height: side(height, size.height) };
}

function roundedToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below === 0.5) return below + (below % 2);
  return Math.round(value);
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

/** Throws libvips' error as one sentence. */
function refuse(error: unknown): never {
  const message = messageOf(error);
  if (/not configured|not implemented|not been built in|tile size|unsupported (?!image format)/i.test(message)) {
    const sentence = `Images of this kind are not supported (${detailOf(message)}).`;
    throw new TatokError('image-unsupported', sentence, formatAdvice, { cause: error });
  }
  throw damaged(detailOf(message), error);
}

function damaged(detail: string, cause?: unknown): TatokError {
  return new TatokError('image-unreadable', `The image is damaged or cut short (${detail}).`, undefined, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first thing that libvips says, without the name of its part that says it. */
function detailOf(message: string): string {
  const lines = message.replace(/^Input buffer has corrupt header:|^Warning treated as error.*$/m, '').split('\n');
  const detail = lines
    .map((line) =>
      line
        .trim()
        .replace(/^\w+: /, '')
        .replace(/\.$/, ''),
    )
    .find((line) => line !== '');
  return detail ?? 'its header cannot be read';
}
