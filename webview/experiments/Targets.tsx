import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useServices } from '../state/context';
import { targetUnits, type TargetUnit } from '../state/targets';
import { Dropdown } from '../ui/toolkit';

const unitLabels: Readonly<Record<TargetUnit, string>> = { tokens: 'tokens', bits: 'bits', psnr: 'dB' };

/** A number of tokens or bits, or a quality, in place of ε: the ε that gives it is set. */
export function Targets(): JSX.Element | null {
  const { inspector, session } = useServices();
  const [unit, setUnit] = useState<TargetUnit>('tokens');
  const [typed, setTyped] = useState('');
  const { targets } = session;
  if (!inspector.rates.value) return null;
  return (
    <form
      class="panel targets"
      aria-label="Target"
      onSubmit={(event) => {
        event.preventDefault();
        void targets.reach(Number(typed), unit);
      }}
    >
      <label class="target-value">
        <span class="visually-hidden">Target in {unitLabels[unit]}</span>
        <input
          type="number"
          min="0"
          step="any"
          required
          placeholder="target"
          data-testid="target"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <Dropdown
        plain
        label="Unit of the target"
        testId="target-unit"
        options={targetUnits.map((value) => ({ value, label: unitLabels[value] }))}
        value={unit}
        onChange={setUnit}
      />
      <button type="submit" class="small" data-testid="target-set" title="Set the ε that gives it (Enter)">
        Set ε
      </button>
      <span class="muted" role="status" data-testid="target-said">
        {targets.said.value}
      </span>
    </form>
  );
}
