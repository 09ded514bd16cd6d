/** `budget`: settings that give a mean number of tokens over a data set. */
import { basename, resolve } from 'node:path';
import { readBundle } from '../bundle/manifest';
import type { FoundBudget } from '../method/collectionBudget';
import { collectionOf } from '../tokens/collection';
import { TokenDataset } from '../tokens/tokenDataset';
import type { BudgetOptions } from './options';
import { terminalLine } from './report';
import { complain, counted, print } from './terminal';

/**
 * Prints what was found, or one JSON object.
 *
 * @param directory of the model, whose reference budget is tried where it made the tokens.
 * @throws TatokError of a folder that is no data set or does not hold enough, and of a mean out of reach.
 */
export async function findBudgets(options: BudgetOptions, directory: string): Promise<0> {
  const dataset = await TokenDataset.open(options.dataset);
  const { model } = dataset.recipe;
  const { collection, approximate } = await collectionOf(dataset);
  const bundle = await readBundle(directory).catch(() => undefined);
  const reference = bundle?.model.hash === model.hash ? bundle.model.referenceBudgetBits : undefined;
  if (reference === undefined)
    complain(`The reference budget of ${model.name} is not known here; --model names its folder.`);
  const found = collection.budgetsFor(options.tokens, reference);
  const name = basename(resolve(options.dataset));
  if (options.json) {
    const budgets = found.map(({ tokens: _, ...budget }) => budget);
    print(JSON.stringify({ dataset: name, images: collection.images, wanted: options.tokens, approximate, budgets }));
    return 0;
  }
  const note = approximate ? ', of entropies in half precision' : '';
  print(
    terminalLine(`${name}: ${counted(collection.images, 'image')}, a mean of at most ${options.tokens} tokens${note}`),
  );
  for (const budget of found) print(lineOf(budget));
  return 0;
}

const names: Record<FoundBudget['kind'], string> = {
  image: '--budget image',
  reference: '--budget reference',
  collection: 'a reference of these images',
};

function lineOf({ kind, lossRate, budgetBits, spread }: FoundBudget): string {
  const bits = budgetBits === null ? '' : `, B = ${Math.round(budgetBits)} bits`;
  const range = `${spread.least} to ${spread.most}, 80 % within ${spread.tenth.toFixed(0)} to ${spread.ninetieth.toFixed(0)}`;
  return `${names[kind].padEnd(28)} ε = ${lossRate}${bits}: mean ${spread.mean.toFixed(1)} tokens, ${range}`;
}
