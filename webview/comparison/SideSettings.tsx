import type { JSX } from 'preact';
import { budgetOptions, rankingOptions } from '../controls/LossRate';
import { useServices } from '../state/context';
import { Dropdown, NumberField } from '../ui/toolkit';
import { isSequential, roundsOf } from '../../src/method/sequential';

/** Rounds on offer; a setting or a model may ask for others. */
const rounds = [1, 2, 4, 8, 16, 32, 64];

/** What decides the kept patches of one side besides ε, from menus. A model without an entropy model has none of it. */
export function SideSettings({ letter }: { readonly letter: string }): JSX.Element | null {
  const { inspector } = useServices();
  if (inspector.picture.value === undefined || !inspector.filters.value) return null;
  const settings = inspector.settings.value;
  const chosen = roundsOf(settings);
  return (
    <div class="side-settings" role="group" aria-label={`Settings of ${letter}`}>
      <label>
        <span class="muted">ranking</span>
        <Dropdown
          plain
          label={`Ranking of ${letter}`}
          testId="ranking"
          options={rankingOptions(inspector.picture.value.model)}
          value={settings.ranking}
          onChange={(criterion) => (inspector.criterion.value = criterion)}
        />
      </label>
      {isSequential(settings.ranking) && (
        <label>
          <span class="muted">rounds</span>
          <Dropdown
            plain
            label={`Rounds of ${letter}`}
            testId="rounds"
            options={[...new Set([...rounds, chosen])]
              .sort((a, b) => a - b)
              .map((count) => ({ value: String(count), label: String(count) }))}
            value={String(chosen)}
            onChange={(count) => (inspector.rankingRounds.value = Number(count))}
          />
        </label>
      )}
      <label>
        <span class="muted">budget</span>
        <Dropdown
          plain
          label={`Budget of ${letter}`}
          testId="budget"
          options={budgetOptions}
          value={settings.budget}
          onChange={(budget) => (inspector.budget.value = budget)}
        />
      </label>
      <label>
        <span class="muted">β, bits</span>
        <NumberField
          label={`Edge priority β of ${letter} in bits`}
          testId="edge-priority"
          min={0}
          max={24}
          step={0.5}
          digits={1}
          value={settings.edgePriority}
          onChange={(priority) => (inspector.edgePriority.value = priority)}
        />
      </label>
    </div>
  );
}
