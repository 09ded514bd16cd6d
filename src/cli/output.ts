/** The files of `--out`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { entropyPng, imagePng, maskPng } from './savedPictures';
import { decodeImage } from '../engine/image';
import type { TokenizedImage } from './report';
import { tokensRecord } from '../export/tokens';
import { hasPart } from '../method/parts';
import { shownSize } from '../method/patch';

/** Writes the pictures and tokens of images into one folder, made when it is missing. */
export class OutputFolder {
  private readonly names = new Set<string>();

  constructor(private readonly directory: string) {}

  /**
   * Files of one image: `<name>.input.png` (the pixels that were tokenized, without padding), `.reconstruction.png` and
   * `.tokens.json`; `.entropy.png` and `.mask.png` of an entropy model of patches.
   */
  async write(image: string, file: Uint8Array, result: TokenizedImage): Promise<void> {
    const name = this.nameFor(image);
    const { model, tokens, reconstruction } = result;
    const size = shownSize(result.image);
    const files: [string, Promise<Buffer> | string][] = [
      ['input.png', this.inputPng(file, result)],
      ['reconstruction.png', imagePng(reconstruction.rgb, size)],
      ['tokens.json', `${JSON.stringify(tokensRecord(result))}\n`],
    ];
    if (hasPart(model, 'patchBits')) {
      files.push(
        ['entropy.png', entropyPng(tokens.entropyBits, result.image, model)],
        ['mask.png', maskPng(result.image, reconstruction.keep, model)],
      );
    }
    await mkdir(this.directory, { recursive: true });
    await Promise.all(
      files.map(async ([suffix, content]) => writeFile(join(this.directory, `${name}.${suffix}`), await content)),
    );
  }

  /** At full size, which a large picture is not shown in. */
  private async inputPng(file: Uint8Array, { image, model }: TokenizedImage): Promise<Buffer> {
    const { width, height, cropMode } = image;
    const { rgb } = image.reduction === 1 ? image : await decodeImage(file, model, { cropMode });
    return imagePng(rgb, { width, height });
  }

  /** The image's name without extension; a second image of that name becomes `<name>-2`. */
  private nameFor(image: string): string {
    const stem = basename(image, extname(image));
    let name = stem;
    for (let copy = 2; this.names.has(name); copy++) name = `${stem}-${copy}`;
    this.names.add(name);
    return name;
  }
}
