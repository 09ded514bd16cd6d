/** What `dataset.json` says of a run before it begins: the command line and the extension describe theirs alike. */
import { dirname, relative, resolve } from 'node:path';
import { codebookSize } from '../method/codebook';
import { recordOf } from '../method/settings';
import { mainStream } from '../method/streams';
import type { FilterSettings } from '../method/types';
import type { Batching, LoadedModel } from '../protocol/engineMessages';
import type { ImageInputs } from './inputs';
import { inputHash, type Recipe } from './tokenDataset';

export interface RecipeParts {
  readonly loaded: LoadedModel & Batching;
  /** Complete ones, of the model. */
  readonly settings: FilterSettings;
  readonly columns: { readonly entropies: boolean; readonly quality: boolean };
  readonly inputs: ImageInputs;
  /** The arguments that the inputs were listed from. */
  readonly sources: readonly string[];
  /** Of the data set, absolute. */
  readonly folder: string;
  readonly shardSize: number;
  /** Of a graph on the CPU; absent: ONNX Runtime's choice. */
  readonly threads?: number | undefined;
}

export function recipeOf({
  loaded,
  settings,
  columns,
  inputs,
  sources,
  folder,
  shardSize,
  threads,
}: RecipeParts): Recipe {
  const { model, provider, precision, batchSize } = loaded;
  return {
    format: 'tatok-tokens',
    version: 1,
    model: { name: model.name, version: model.version, hash: model.hash },
    image: [model.imageSize.height, model.imageSize.width],
    grid: [model.grid.rows, model.grid.columns],
    globalTokens: model.globalTokens,
    codebookSize: codebookSize(mainStream(model).codebook),
    settings: model.filters ? recordOf(settings) : {},
    provider: provider.provider,
    precision,
    batchSize,
    ...(threads !== undefined && { threads }),
    crop: 'centre',
    columns,
    input: {
      count: inputs.count,
      hash: inputHash(pathsOf(inputs)),
      sources: sources.map((source) => relative(dirname(folder), resolve(source)) || '.'),
    },
    shardSize,
  };
}

/** Where the inputs of a data set were, absolute; undefined where it does not say. */
export function sourcesOf({ input }: Recipe, folder: string): string[] | undefined {
  return input.sources?.map((source) => resolve(dirname(folder), source));
}

function* pathsOf(inputs: ImageInputs): Generator<string> {
  for (const { path } of inputs) yield path;
}
