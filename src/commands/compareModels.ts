import * as vscode from 'vscode';
import { z } from 'zod';
import { imageExtensions, isImagePath } from '../host/imageFiles';
import type { Models } from '../host/models';
import { plain, sentences } from '../host/text';
import { window, type Line } from '../host/window';
import { TatokError } from '../method/errors';
import { filterSchema, resolveSettings } from '../method/settings';
import type { FilterSettings } from '../method/types';
import type { ModelTables } from '../panel/modelTablePanel';
import { systemOf, type TableServices, type TableSystem } from '../panel/modelTableWork';
import { chosenResources } from './tokenizeImage';

export const compareModelsCommand = 'tatok.compareModels';

export interface CompareModelsServices {
  readonly tables: Pick<ModelTables, 'open'>;
  readonly models: Pick<Models, 'options' | 'ask' | 'describe'>;
  readonly configuration: TableServices['configuration'];
  /** Where the command finds the inspector that the user works in. */
  readonly inspectors: { readonly active: { readonly compared: { readonly uri: vscode.Uri } } | undefined };
}

/** Some settings in place of those that hold for an image. */
type Variant = Partial<FilterSettings>;

/** Arguments of the command for others, in place of what it asks for. */
const given = z.strictObject({
  images: z.array(z.string().min(1)).min(1),
  models: z.array(z.string().min(1)).min(1).optional(),
  settings: z.array(z.strictObject(filterSchema.shape).partial()).min(1).optional(),
});

/**
 * *TaTok: Compare Models…*: images selected in the Explorer, the active inspector's, or those of a dialog, through models and settings that
 * are asked for. Another extension names them: `{ images: uris, models?: folders, settings?: filter settings }`.
 */
export function registerCompareModels(services: CompareModelsServices): vscode.Disposable {
  return vscode.commands.registerCommand(compareModelsCommand, async (...args: unknown[]) => {
    try {
      await compareModels(services, args);
    } catch (error) {
      if (!(error instanceof TatokError)) throw error;
      void window.showErrorMessage(sentences(error.message, error.advice));
    }
  });
}

async function compareModels(services: CompareModelsServices, args: readonly unknown[]): Promise<void> {
  const asked = given.safeParse(args[0]);
  const images = asked.success
    ? asked.data.images.map((uri) => vscode.Uri.parse(uri, true))
    : await imagesOf(services, args);
  const [first] = images;
  if (first === undefined) return;
  const directories = asked.data?.models ?? (await chooseModels(services, first));
  if (directories.length === 0) return;
  const variants = asked.success ? (asked.data.settings ?? [{}]) : await chooseVariants();
  if (variants.length === 0) return;
  const { filter } = services.configuration.read(first);
  const systems = new Map<string, TableSystem>();
  for (const directory of directories) {
    const model = await services.models.describe(directory);
    for (const variant of variants) {
      const settings = resolveSettings({ ...filter, ...variant }, model);
      // A model that drops nothing is one row whatever is set.
      systems.set(JSON.stringify([directory, settings]), systemOf(model, settings));
    }
  }
  services.tables.open({ images, systems: [...systems.values()] });
}

async function imagesOf({ inspectors }: CompareModelsServices, args: readonly unknown[]): Promise<vscode.Uri[]> {
  const chosen = chosenResources(args).filter((uri) => isImagePath(uri.path));
  if (chosen.length > 0) return chosen;
  const { active } = inspectors;
  if (active !== undefined) return [active.compared.uri];
  const asked = await window.showOpenDialog({
    title: plain`Compare Models on Images`,
    openLabel: 'Compare',
    canSelectMany: true,
    filters: { Images: [...imageExtensions] },
  });
  return asked ?? [];
}

const chooseFolder = plain`Choose folder…`;

async function chooseModels({ models, configuration }: CompareModelsServices, image: vscode.Uri): Promise<string[]> {
  const current = configuration.read(image).choice.directory;
  const options = await models.options(image, current);
  const items = options.map(({ directory, label }) => ({
    label: plain`${label}`,
    description: plain`${directory}`,
    directory,
    picked: directory === current,
  }));
  const more = { label: chooseFolder, directory: undefined, picked: false };
  const chosen = await window.showQuickPick<Line & { readonly directory: string | undefined }>([...items, more], {
    title: plain`Compare Models: Models`,
    canPickMany: true,
  });
  if (chosen === undefined) return [];
  const directories = chosen.flatMap(({ directory }) => directory ?? []);
  if (!chosen.some(({ directory }) => directory === undefined)) return directories;
  const asked = await models.ask(current);
  return asked === undefined ? directories : [...directories, asked];
}

const rankings: readonly (Line & { readonly variant: Variant; readonly picked: boolean })[] = [
  { label: plain`As the settings say`, variant: {}, picked: true },
  { label: plain`By entropy`, variant: { ranking: 'entropy' }, picked: false },
  { label: plain`Sequentially`, variant: { ranking: 'sequential' }, picked: false },
  { label: plain`By distortion`, variant: { ranking: 'distortion' }, picked: false },
];

const lossRates: readonly (Line & { readonly variant: Variant; readonly picked: boolean })[] = [
  { label: plain`ε as the settings say`, variant: {}, picked: true },
  ...[0, 0.2, 0.4, 0.6, 0.8].map((lossRate) => ({
    label: plain`ε = ${lossRate}`,
    variant: { lossRate },
    picked: false,
  })),
];

/** Every ranking with every ε that was chosen; nothing when the user changed their mind. */
async function chooseVariants(): Promise<Variant[]> {
  const ranked = await window.showQuickPick(rankings, { title: plain`Compare Models: Rankings`, canPickMany: true });
  if (ranked === undefined || ranked.length === 0) return [];
  const rated = await window.showQuickPick(lossRates, { title: plain`Compare Models: Loss Rates`, canPickMany: true });
  return ranked.flatMap(({ variant }) => (rated ?? []).map((rate) => ({ ...variant, ...rate.variant })));
}
