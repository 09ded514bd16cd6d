import * as vscode from 'vscode';
import type { Models } from '../host/models';
import { plain, sentences } from '../host/text';
import { window, type Line } from '../host/window';
import type { ComparedSide, ComparedSides } from '../panel/comparisonPanel';
import { TatokError } from '../method/errors';
import type { FilterSettings } from '../method/types';
import { imageExtensions, isImagePath } from '../host/imageFiles';
import { chosenResources } from './tokenizeImage';

export const compareCommand = 'tatok.compare';

export interface CompareServices {
  /** Where the command finds the inspector that the user works in. */
  readonly inspectors: { readonly active: { readonly compared: ComparedSide } | undefined };
  readonly comparisons: { open(compared: ComparedSides): void };
  readonly models: Pick<Models, 'options' | 'ask' | 'chosenFor'>;
}

/**
 * *TaTok: Compare Tokenizations*: two images selected in the Explorer, or what the active inspector shows with another image,
 * threshold or model.
 */
export function registerCompare(services: CompareServices): vscode.Disposable {
  return vscode.commands.registerCommand(compareCommand, (...args: unknown[]) => compare(services, args));
}

async function compare(services: CompareServices, args: readonly unknown[]): Promise<void> {
  const selected = Array.isArray(args[1]) ? chosenResources(args) : [];
  const { active } = services.inspectors;
  if (selected.length > 1) compareSelected(services, selected);
  else if (active !== undefined) await compareActive(services, active.compared);
  else {
    void window.showInformationMessage(
      plain`Select two images in the Explorer to compare them, or tokenize one and compare it with another.`,
    );
  }
}

function compareSelected({ comparisons, models }: CompareServices, selected: readonly vscode.Uri[]): void {
  const [a, b, ...others] = selected.filter((uri) => isImagePath(uri.path));
  if (a === undefined || b === undefined || others.length > 0 || selected.length > 2) {
    void window.showWarningMessage(plain`Select exactly two images to compare them: ${imageExtensions.join(', ')}.`);
    return;
  }
  const sideOf = (uri: vscode.Uri): ComparedSide => ({ uri, model: models.chosenFor(uri) });
  comparisons.open({ a: sideOf(a), b: sideOf(b) });
}

/** A way to compare what an inspector shows. */
interface ComparedChoice extends Line {
  /** The other side; undefined when the user changed their mind. */
  readonly other: (a: ComparedSide, services: CompareServices) => Promise<ComparedSide | undefined>;
  /** The side of the inspector, where it is not as it is. */
  readonly first?: (a: ComparedSide) => ComparedSide;
}

const withImage: ComparedChoice = {
  label: plain`With another image…`,
  description: plain`The same model and settings`,
  other: otherImage,
};
const withThreshold = (settings: FilterSettings): ComparedChoice => ({
  label: plain`With another threshold`,
  description: plain`The same image and model, each side with its own ε`,
  other: async (a: ComparedSide) => otherThreshold(a, settings),
});
const withRanking = (settings: FilterSettings): ComparedChoice => ({
  label: plain`By entropy against by distortion`,
  description: plain`The same image and model, ranked by each`,
  other: async (a: ComparedSide) => ({ ...a, settings: { ...settings, ranking: 'distortion' as const } }),
  first: (a: ComparedSide) => ({ ...a, settings: { ...settings, ranking: 'entropy' as const } }),
});
const withModel: ComparedChoice = {
  label: plain`With another model…`,
  description: plain`The same image and settings`,
  other: otherModel,
};

async function compareActive(services: CompareServices, a: ComparedSide): Promise<void> {
  // Where a model can drop nothing there is no threshold, and where ε is a length nothing is ranked.
  const choices: readonly ComparedChoice[] = [
    ...(a.settings !== undefined && a.ranked === true ? [withRanking(a.settings)] : []),
    withImage,
    ...(a.settings === undefined ? [] : [withThreshold(a.settings)]),
    withModel,
  ];
  const chosen = await window.showQuickPick(choices, { title: plain`Compare Tokenizations` });
  if (chosen === undefined) return;
  try {
    const b = await chosen.other(a, services);
    if (b !== undefined) services.comparisons.open({ a: chosen.first?.(a) ?? a, b });
  } catch (error) {
    if (!(error instanceof TatokError)) throw error;
    void window.showErrorMessage(sentences(error.message, error.advice));
  }
}

async function otherImage(a: ComparedSide): Promise<ComparedSide | undefined> {
  const [uri] =
    (await window.showOpenDialog({
      title: plain`Compare with Another Image`,
      openLabel: 'Compare',
      filters: { Images: [...imageExtensions] },
      defaultUri: vscode.Uri.joinPath(a.uri, '..'),
    })) ?? [];
  return uri && { ...a, uri };
}

/** Far enough from the first that something changes; the page has a slider for each. */
const thresholdStep = 0.25;

function otherThreshold(a: ComparedSide, settings: FilterSettings): ComparedSide {
  const { lossRate } = settings;
  const other = lossRate < 0.5 ? lossRate + thresholdStep : lossRate - thresholdStep;
  return { ...a, settings: { ...settings, lossRate: Math.round(1000 * other) / 1000 } };
}

const chooseFolder = plain`Choose folder…`;

async function otherModel(a: ComparedSide, { models }: CompareServices): Promise<ComparedSide | undefined> {
  const current = a.model ?? '';
  const options = (await models.options(a.uri, current)).filter(({ directory }) => directory !== current);
  const items = options.map(({ directory, label }) => ({
    label: plain`${label}`,
    description: plain`${directory}`,
    directory,
  }));
  const chosen = await window.showQuickPick([...items, { label: chooseFolder, directory: undefined }], {
    title: plain`Compare with Another Model`,
  });
  if (chosen === undefined) return undefined;
  const model = chosen.directory ?? (await models.ask(current));
  return model === undefined ? undefined : { ...a, model };
}
