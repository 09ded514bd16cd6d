/** At the size of labels in plots, generously. */
const characterWidth = 6;

/**
 * Baseline of the ε line's label, which ends at the right, so that it crosses neither the line nor the curve. The curve rises:
 * right of where they meet it runs above the line, and the corner at the lower right is always free.
 *
 * @param meetingX where curve and line meet.
 * @param lineY of the line.
 * @param right ends of the axes, like all lengths in pixels of the plot.
 */
export function labelHeight(label: string, meetingX: number, lineY: number, right: number, bottom: number): number {
  if (right - characterWidth * label.length < meetingX) return bottom - 6;
  return lineY > bottom - 17 ? lineY - 6 : lineY + 15;
}
