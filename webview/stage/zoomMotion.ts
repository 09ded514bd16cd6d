/** Scales that follow each other faster than this belong to one gesture, which has ended when none came for so long. */
const restMs = 150;

/** Tells the zoom gesture, whose frames may be drawn with less care, from a single change of scale. */
export class ZoomMotion {
  private scale: number | undefined;
  private changedAt = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** @param onRest is called when a gesture has ended, so that its last frame is drawn with care. */
  constructor(private readonly onRest: () => void) {}

  /** Whether the frame to be drawn now, at some scale, is one of a gesture. */
  moves(scale: number): boolean {
    if (scale === this.scale) return false;
    const now = performance.now();
    const moving = now - this.changedAt < restMs;
    // The first scale of all is no change.
    if (this.scale !== undefined) this.changedAt = now;
    this.scale = scale;
    if (moving) {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.onRest, restMs);
    }
    return moving;
  }

  dispose(): void {
    clearTimeout(this.timer);
  }
}
