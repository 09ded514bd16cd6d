import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useDataset } from './datasetSession';
import { Histogram } from './Distributions';
import { Button, NumberField } from '../ui/toolkit';
import type { FoundBudget } from '../../src/method/collectionBudget';

const names: Record<FoundBudget['kind'], string> = {
  image: 'Each image’s own bits',
  reference: 'The model’s reference',
  collection: 'A reference of these images',
};

/** Settings that give a mean number of tokens over the images, found from their entropies without decoding. */
export function BudgetFinder(): JSX.Element | null {
  const { view, session } = useDataset();
  const [wanted, setWanted] = useState<number>();
  const facts = view.state.value.facts;
  if (facts?.settings === undefined || view.tokenized.value.length === 0) return null;
  const [least, most] = [facts.globalTokens, facts.globalTokens + facts.patchTokens];
  const asked = wanted ?? Math.round(least + facts.patchTokens * 0.15);
  const answer = session.budgets.value;
  return (
    <section class="panel" aria-labelledby="budget-title">
      <h2 id="budget-title">Budget for a mean</h2>
      <div class="budget-form">
        <NumberField
          label="Mean tokens per image"
          value={asked}
          min={least + 0.1}
          max={most - 0.1}
          step={1}
          digits={0}
          testId="budget-tokens"
          onChange={setWanted}
        />
        <span>tokens per image</span>
        <Button testId="budget-find" onPress={() => void session.findBudgets(asked)}>
          Find ε
        </Button>
      </div>
      {answer !== undefined && (
        <div role="status" data-testid="budgets">
          <p class="muted">
            Mean of at most {answer.wanted} tokens over {answer.images} images
            {answer.approximate ? ', of entropies in half precision' : ''}.
          </p>
          {answer.found.map((found) => (
            <Found key={found.kind} found={found} />
          ))}
        </div>
      )}
    </section>
  );
}

function Found({ found }: { readonly found: FoundBudget }): JSX.Element {
  const { session } = useDataset();
  const { kind, lossRate, budgetBits, spread, tokens } = found;
  const range = `${spread.least} to ${spread.most}, 80 % within ${spread.tenth.toFixed(0)} to ${spread.ninetieth.toFixed(0)}`;
  return (
    <div class="budget" data-testid={`budget-${kind}`}>
      <h3>{names[kind]}</h3>
      <p>
        ε = {lossRate}
        {budgetBits === null ? '' : `, B = ${Math.round(budgetBits)} bits`}: mean {spread.mean.toFixed(1)} tokens,{' '}
        {range}
      </p>
      <Histogram title="Tokens per image" unit="tokens" values={tokens} summary={range} />
      {kind === 'collection' ? (
        <p class="muted">For the manifest of a model: referenceBudgetBits, and defaults.lossRate.</p>
      ) : (
        <Button testId={`budget-save-${kind}`} onPress={() => void session.saveBudget(kind)}>
          Write to settings…
        </Button>
      )}
    </div>
  );
}
