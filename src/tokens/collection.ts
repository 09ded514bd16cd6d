/** The images of a token data set by what dropping their patches loses: all that a budget over them is found from. */
import type { CancellationToken } from 'vscode-jsonrpc';
import { Collection } from '../method/collectionBudget';
import { TatokError } from '../method/errors';
import { lostWith, rankPatches } from '../method/filter';
import type { Grid } from '../method/types';
import type { TokenDataset } from './tokenDataset';

/** Images that are read: their bits take 2 kB each in memory. */
const mostImages = 100_000;

/**
 * Reads the bits of all rows with tokens.
 *
 * @returns `approximate` where the rows have no `lost`: a ranking by entropy is then computed again of ĥ in half precision.
 * @throws TatokError tokens-invalid where the rows do not say enough; cancelled.
 */
export async function collectionOf(
  dataset: TokenDataset,
  token?: CancellationToken,
): Promise<{ readonly collection: Collection; readonly approximate: boolean }> {
  const { settings, recipe, folder } = dataset;
  if (settings === undefined) {
    throw new TatokError('bad-settings', `The model of ${folder} drops no tokens: there is no budget to find.`);
  }
  const [rows, columns] = recipe.grid;
  const grid: Grid = { rows, columns };
  const lost: Float64Array[] = [];
  let approximate = false;
  for (const shard of dataset.shards) {
    for (const row of await dataset.readShard(shard)) {
      if (row.error !== null || lost.length === mostImages) continue;
      if (row.lost !== null) lost.push(Float64Array.from(row.lost));
      else if (row.entropy !== null && settings.ranking === 'entropy') {
        lost.push(lostWith(rankPatches(Float64Array.from(row.entropy), grid, settings.edgePriority)));
        approximate = true;
      } else {
        throw new TatokError(
          'tokens-invalid',
          `${folder} does not hold the bits that dropping each patch loses.`,
          settings.ranking === 'entropy'
            ? 'Tokenize the images again with entropies (--entropies).'
            : `Its ranking (${settings.ranking}) needs the column lost: tokenize the images again with entropies (--entropies).`,
        );
      }
    }
    if (token?.isCancellationRequested === true) throw new TatokError('cancelled', 'The request was cancelled.');
  }
  return { collection: new Collection(lost, recipe.globalTokens), approximate };
}
