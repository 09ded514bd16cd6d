/** What draws on a canvas. @throws Error where the browser has no memory for it. */
export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no 2D canvas');
  return context;
}
