/** The command line's output for a tokenized image. */
import type { LoadedModel } from '../protocol/engineMessages';
import { describePage } from '../method/patch';
import { describeParts, hasEveryPart, hasPart, tokenSum } from '../method/parts';
import { psnrText, ssimText } from '../method/quality';
import { recordOf } from '../method/settings';
import { codeList, codebookRecord, streamRecord } from '../export/tokens';
import { stepUnit, takesLength } from '../method/streams';
import type { ModelDescription, Tokenization } from '../method/types';

export type TokenizedImage = Tokenization & LoadedModel;

/**
 * One line of `--json`. The keys up to `timings`, in their order, are a contract; others may follow.
 *
 * entropyBits is ĥ given G; conditionedEntropyBits is what the filter settled on, which differs in a sequential ranking.
 * rankingRounds is null for a ranking without rounds. psnr is null when infinite, ssim where the picture is smaller than its window. Codes of
 * more than 32 bits are text, latents numbers. Arrays of what the model does not have are empty; one
 * that can drop nothing has a loss rate of 0.
 */
export function jsonRecord(image: string, result: TokenizedImage): Record<string, unknown> {
  const { model, provider, tokens, reconstruction } = result;
  const { conditioning, rankingRounds = null } = recordOf(reconstruction.settings);
  return {
    image,
    width: result.image.sourceWidth,
    height: result.image.sourceHeight,
    model: model.name,
    provider: provider.provider,
    grid: result.image.grid,
    globalCodes: codeList(tokens.globalCodes),
    patchCodes: codeList(tokens.patchCodes),
    entropyBits: [...tokens.entropyBits],
    surprisalBits: [...tokens.surprisalBits],
    keep: [...reconstruction.keep],
    lossRate: reconstruction.settings.lossRate,
    actualLossRate: reconstruction.actualLossRate,
    keptTokens: reconstruction.keptTokens,
    totalTokens: reconstruction.totalTokens,
    payloadBits: reconstruction.payloadBits,
    maskBits: reconstruction.maskBits,
    psnr: reconstruction.psnr,
    ssim: reconstruction.ssim,
    timings: result.timings,
    edgePriority: reconstruction.settings.edgePriority,
    budget: reconstruction.settings.budget,
    budgetBits: reconstruction.budgetBits,
    conditioning,
    rankingRounds,
    conditionedEntropyBits: [...reconstruction.entropyBits],
    crop: result.image.crop,
    cropMode: result.image.cropMode,
    tiles: result.image.tiles,
    page: result.image.page ?? null,
    providerFailures: provider.failures,
    globalTokens: model.globalTokens,
    patchTokens: model.patchTokens,
    filters: model.filters,
    ...codebookRecord(model),
    streams: model.streams.map(streamRecord),
    otherCodes: tokens.otherCodes.map(codeList),
    length: reconstruction.length,
    steps: model.steps.length,
  };
}

/** The model and provider in use, what the model lacks, and why other providers are not used. */
export function modelLine({ model, provider }: LoadedModel): string {
  const kind = hasEveryPart(model) ? '' : ` (${describeParts(model)})`;
  const reasons = provider.failures.map((failure) => `; ${failure.provider} is not used: ${failure.reason}`).join('');
  return `${model.name} ${model.version}${kind} on ${provider.provider}${reasons}`;
}

/**
 * One line for a terminal. File names and models may hold characters that it would act on (colours, the title of its window, the direction
 * of writing): these are shown as unknown characters.
 */
export function terminalLine(text: string): string {
  const lines = text.split('\n');
  // As it is but for the space around its breaks. A pattern for that would take the square of a long space's time.
  const line = lines.map((each, i) => {
    const begun = i === 0 ? each : each.trimStart();
    return i === lines.length - 1 ? begun : begun.trimEnd();
  });
  return line
    .filter((each, i) => each !== '' || i === 0 || i === line.length - 1)
    .join(' ')
    .replace(/[\p{Control}\p{Bidi_Control}]/gu, '\ufffd');
}

/** One line for people. */
export function summary(image: string, result: TokenizedImage): string {
  const { model, provider, reconstruction: r, timings } = result;
  const { sourceWidth, sourceHeight, width, height, tiles, page } = result.image;
  const inTiles = tiles.rows * tiles.columns === 1 ? '' : ` in ${tiles.columns}×${tiles.rows} tiles`;
  const ofPages = page === undefined ? '' : ` (${describePage(page)})`;
  const drops = hasPart(model, 'rates');
  const milliseconds = Object.values(timings).reduce((sum, stage) => sum + stage, 0);
  return [
    `${image}: ${sourceWidth}×${sourceHeight}${ofPages} → ${width}×${height}${inTiles}`,
    drops ? `kept ${tokenSum(r, model)} tokens` : `${tokenSum(r, model)} tokens`,
    ...(takesLength(model) ? [lengthLine(model, r.length)] : []),
    model.filters
      ? `${Math.round(r.payloadBits)} bits + ${Math.round(r.maskBits)} for the mask`
      : `${Math.round(r.payloadBits)} bits`,
    ...(drops ? [`loss rate ${r.actualLossRate.toFixed(3)} of ${r.settings.lossRate}`] : []),
    `PSNR ${psnrText(r.psnr, 2)} dB`,
    `SSIM ${ssimText(r.ssim, 3)}`,
    `${provider.provider}, ${milliseconds.toFixed(0)} ms`,
  ].join(' · ');
}

/** The part of the steps that is kept: `3 of 4 residual codes`. */
function lengthLine(model: ModelDescription, length: number): string {
  return `${length} of ${model.steps.length} ${stepUnit(model)}s`;
}
