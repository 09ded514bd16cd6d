/**
 * File name extensions of the containers that sharp decodes and the commands offer; `package.json` repeats them in its
 * when-clauses and the custom editor's selector. (BMP is not among them: sharp's prebuilt libvips cannot read it.)
 */
export const imageExtensions = ['png', 'jpg', 'jpeg', 'webp', 'gif', 'tif', 'tiff', 'avif'] as const;

/** @param path of a URI, with `/` as separator. */
export function isImagePath(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  return imageExtensions.some((extension) => name.endsWith(`.${extension}`));
}
