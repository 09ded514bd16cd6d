import type { TokenizedPicture } from '../protocol/engineMessages';
import { readPicture, shownImage, type ReadOptions } from './picture';
import type { StageObserver } from './stages';
import type { ModelDescription, ShownImage, Picture, StageTimings } from '../method/types';
import { pictureKey } from './keys';
import { Lru } from './lru';

/** A large picture has three bytes a pixel; only the one that is being looked at is kept. */
const keptPictures = 1;

interface ReadImage {
  readonly picture: Picture;
  /** What is shown of it. */
  readonly image: ShownImage;
  readonly timings: StageTimings;
}

/** All pixels of the pictures that are worked on, where clients hold an image of fewer. */
export class Pictures {
  private readonly kept = new Lru<string, Picture>(keptPictures);

  /** @throws TatokError of the image; whatever `observer` throws. */
  async read(
    file: Uint8Array,
    model: ModelDescription,
    options: ReadOptions,
    observer: StageObserver,
  ): Promise<ReadImage> {
    const { picture, timings } = await readPicture(file, model, options, observer);
    const image = shownImage(picture, model);
    if (image.reduction > 1) this.kept.set(pictureKey(file, image), picture);
    return { picture, image, timings };
  }

  /**
   * All pixels of what was tokenized: those of the image itself, or of its file decoded again.
   *
   * @throws TatokError of the image; whatever `observer` throws.
   */
  async of({ image, file }: TokenizedPicture, model: ModelDescription, observer: StageObserver): Promise<Picture> {
    if (image.reduction === 1) return image;
    if (file === undefined) throw new RangeError('a reduced image comes with its file');
    const key = pictureKey(file, image);
    const kept = this.kept.get(key);
    if (kept !== undefined) return kept;
    const { picture } = await readPicture(file, model, { cropMode: image.cropMode }, observer);
    this.kept.set(key, picture);
    return picture;
  }
}
