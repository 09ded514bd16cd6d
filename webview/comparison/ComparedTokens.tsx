import type { JSX } from 'preact';
import { useComparison } from './comparison';
import { AttentionChoices } from '../controls/GlobalTokens';
import { useServices } from '../state/context';
import { Select } from '../ui/Select';

/** Which global token's attention or influence both sides show, while they show any. */
export function ComparedTokens(): JSX.Element | null {
  const comparison = useComparison();
  const { inspector } = useServices();
  const overlay = inspector.chosenOverlay.value;
  if (overlay !== 'attention' && overlay !== 'influence') return null;
  const counts = [comparison.left.value, comparison.right.value]
    .map((side) => side.inspector.picture.value?.model.globalTokens ?? 0)
    .filter((count) => count > 0);
  if (counts.length === 0) return null;
  const tokens = Array.from({ length: Math.min(...counts) }, (_, token) => ({
    value: String(token),
    label: `token ${token}`,
  }));
  const [isolated] = inspector.isolatedTokens.value;
  return (
    <div class="compared-tokens">
      <Select
        plain
        label="Global token"
        testId="global-token"
        options={[{ value: 'all', label: 'mean of all tokens' }, ...tokens]}
        value={isolated === undefined ? 'all' : String(isolated)}
        onChange={(value) => (inspector.isolatedTokens.value = value === 'all' ? [] : [Number(value)])}
      />
      {overlay === 'attention' && <AttentionChoices />}
    </div>
  );
}
