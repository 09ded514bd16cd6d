import type { Figure } from './figure';
import type { Layers } from '../state/layers';
import type { Scene } from '../canvas/painter';
import type { Inspector } from '../state/inspector';
import type { Overlay, View } from '../state/viewState';
import { codecNames } from '../../src/method/anchors';
import { tokenSum } from '../../src/method/parts';
import { psnrText, ssimText } from '../../src/method/quality';
import { stepUnit, takesLength } from '../../src/method/streams';

const viewNames: Record<View, string> = {
  original: 'original',
  reconstruction: 'reconstruction',
  difference: 'difference of original and reconstruction',
  swipe: 'original | reconstruction',
  anchor: 'reconstruction | photograph at the same bytes',
};

/**
 * The page's picture as a figure, with everything that a reader must know of it.
 *
 * @param letter names the picture where there are two.
 */
export function figureOf(inspector: Inspector, layers: Layers, scene: Scene, letter?: string): Figure {
  const model = inspector.tokenization.peek()?.model;
  const view = inspector.view.peek();
  return {
    scene,
    title: [letter, inspector.document.peek()?.name ?? ''].filter(Boolean).join(' · '),
    subtitle: [model && `${model.name} ${model.version}`, viewNames[view], overlayName(inspector, layers)]
      .filter(Boolean)
      .join(' · '),
    caption: [
      tokensLine(inspector),
      settingsLine(inspector),
      qualityLine(inspector, view),
      anchorLine(inspector, view),
    ].filter((line) => line !== ''),
    legend: layers.legend.peek(),
    colormap: inspector.colormap.peek(),
    swipeLabels: view === 'anchor' ? ['reconstruction', anchorName(inspector)] : ['original', 'reconstruction'],
  };
}

function overlayName(inspector: Inspector, layers: Layers): string {
  const overlay: Overlay = inspector.overlay.peek();
  if (overlay === 'kept') return 'dropped patches hatched';
  if (overlay === 'none') return '';
  const title = layers.legend.peek()?.title ?? overlay;
  const name = title.charAt(0).toLowerCase() + title.slice(1);
  if (overlay !== 'attention' && overlay !== 'influence') return name;
  const tokens = inspector.isolatedTokens.peek();
  const which = tokens.length === 0 ? 'all' : tokens.join(', ');
  const counted = (choice: number | 'mean'): string => (choice === 'mean' ? 'mean' : String(choice + 1));
  const where = `, layer ${counted(inspector.layer.peek())}, head ${counted(inspector.head.peek())}`;
  return `${name} (global tokens: ${which}${overlay === 'attention' ? where : ''})`;
}

function tokensLine(inspector: Inspector): string {
  const selected = inspector.selected.peek();
  const model = inspector.tokenization.peek()?.model;
  if (selected === undefined || model === undefined) return '';
  const bits = `${selected.payloadBits.toFixed(0)} bits`;
  const length = takesLength(model) ? `${selected.length} of ${model.steps.length} ${stepUnit(model)}s: ` : '';
  if (!model.filters) return `${length}${tokenSum(selected, model)} tokens, ${bits}`;
  const all = selected.totalTokens - selected.keptTokens + selected.keep.length;
  return `kept ${tokenSum(selected, model)} of ${all} tokens, ${bits}`;
}

/** What decided the kept set; empty where nothing does. */
export function settingsLine(inspector: Inspector): string {
  if (!inspector.rates.peek()) return '';
  const { lossRate, edgePriority, budget, ranking } = inspector.settings.peek();
  if (!inspector.filters.peek()) return `ε = ${lossRate}`;
  const edge = edgePriority === 0 ? '' : `, β = ${edgePriority} bits`;
  return `ε = ${lossRate}${edge}, ${budget === 'image' ? 'image' : 'reference'} budget, ${ranking} ranking`;
}

function qualityLine(inspector: Inspector, view: View): string {
  const reconstruction = inspector.reconstruction.peek();
  if (view === 'original' || reconstruction === undefined) return '';
  return `PSNR ${psnrText(reconstruction.psnr, 2)} dB, SSIM ${ssimText(reconstruction.ssim, 3)}`;
}

function anchorName(inspector: Inspector): string {
  return codecNames[inspector.codec.peek()];
}

/** What is right of the line, and what it is worth. */
function anchorLine(inspector: Inspector, view: View): string {
  const file = inspector.anchor.peek()?.file;
  if (view !== 'anchor' || !file) return '';
  const quality = `PSNR ${psnrText(file.psnr, 2)} dB, SSIM ${ssimText(file.ssim, 3)}`;
  return `${anchorName(inspector)}: ${file.bytes} bytes with container, ${quality}`;
}
