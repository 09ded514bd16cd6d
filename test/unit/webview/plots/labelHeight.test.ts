import { describe, expect, it } from 'vitest';
import { labelHeight } from '../../../../webview/plots/Axis';

const [left, right, top, bottom] = [36, 284, 8, 104];

describe('the label of the ε line', () => {
  it.each([256, 1536, 196_656])('crosses neither line nor curve, wherever they meet: %i patches', (patches) => {
    // Curves of entropies from nearly equal to very different ones.
    for (const exponent of [0.95, 0.8, 0.6, 0.4]) {
      const curve = (x: number) => bottom - (bottom - top) * ((x - left) / (right - left)) ** exponent;
      for (let meetingX = left; meetingX <= right; meetingX++) {
        const lineY = curve(meetingX);
        const kept = Math.round((patches * (meetingX - left)) / (right - left));
        const label = `${kept} kept hold ${Math.round((100 * (bottom - lineY)) / (bottom - top))} % of the bits`;
        const baseline = labelHeight(label, meetingX, lineY, right, bottom);
        // Characters are 5.2 pixels wide, capitals 9 high.
        const [from, over, under] = [right - 5.2 * label.length, baseline - 9, baseline + 2];
        const place = `"${label}" of a curve of ${exponent}`;
        expect(over > lineY || under < lineY, `the line crosses ${place}`).toBe(true);
        // The curve only rises: where it is above the label's left end, it is above all of it.
        expect(curve(from), `the curve crosses ${place}`).toBeLessThan(over);
        expect(under, `${place} is in the plot`).toBeLessThanOrEqual(bottom);
      }
    }
  });
});
