import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useServices } from '../state/context';
import { lossRateStep, snapLossRate } from '../state/lossRate';
import { Range, Row } from '../ui/ownControls';
import { Button, Dropdown, NumberField } from '../ui/toolkit';
import { stepUnit } from '../../src/method/streams';
import type { Budget, RankingCriterion } from '../../src/method/types';

export const rankingOptions: readonly { value: RankingCriterion; label: string }[] = [
  { value: 'entropy', label: 'entropy' },
  { value: 'sequential', label: 'sequential' },
  { value: 'distortion', label: 'by distortion' },
];

export const budgetOptions: readonly { value: Budget; label: string }[] = [
  { value: 'image', label: 'this image' },
  { value: 'reference', label: 'reference' },
];

/** ε with all that decides what it drops. */
export function LossRate(): JSX.Element {
  const { inspector } = useServices();
  const lossRate = inspector.lossRate.value;
  return (
    <section class="panel loss-rate" aria-labelledby="loss-rate-title">
      <div class="title-line">
        <h2 id="loss-rate-title">
          Information loss rate <span class="symbol">ε</span>
        </h2>
        <span class="spacer" />
        <Defaults />
      </div>
      <div class="loss-rate-value">
        <output class="figure" for="loss-rate">
          {lossRate.toFixed(Number.isInteger(Math.round(lossRate * 1000) / 10) ? 2 : 3)}
        </output>
        <LossRateNumber />
      </div>
      <LossRateRange id="loss-rate" />
      {inspector.filters.value ? <FilterChoices /> : <Length />}
    </section>
  );
}

/** @param of whose ε it is, where there are several. */
export function LossRateNumber({ of = '' }: { readonly of?: string }): JSX.Element {
  const { inspector } = useServices();
  return (
    <NumberField
      label={`Information loss rate${of}`}
      testId="loss-rate-number"
      min={0}
      max={1}
      step={lossRateStep}
      digits={3}
      value={inspector.lossRate.value}
      onChange={(value) => (inspector.lossRate.value = value)}
    />
  );
}

export function LossRateRange({ id, of = '' }: { readonly id?: string; readonly of?: string }): JSX.Element {
  const { inspector } = useServices();
  return (
    <Range
      id={id}
      label={`Information loss rate ε${of}`}
      testId="loss-rate"
      step={lossRateStep}
      value={inspector.lossRate.value}
      onInput={(value) => (inspector.lossRate.value = snapLossRate(value))}
    />
  );
}

/** ε as a length: the leading tokens, residual codes or scales that it keeps. */
function Length(): JSX.Element | null {
  const { inspector } = useServices();
  const model = inspector.picture.value?.model;
  if (model === undefined) return null;
  const unit = `${stepUnit(model)}s`;
  return (
    <dl class="rows">
      <Row name={`leading ${unit}`}>
        <span data-testid="length">
          {inspector.selected.value?.length ?? '–'} of {model.steps.length}
        </span>
      </Row>
    </dl>
  );
}

function FilterChoices(): JSX.Element {
  const { inspector } = useServices();
  const globalTokens = inspector.picture.value?.model.globalTokens ?? 0;
  return (
    <div class="rows">
      <div class="row" title="Added to the priority of patches on the outer ring of the grid">
        <span>edge priority β</span>
        <span class="with-unit">
          <NumberField
            label="Edge priority β in bits"
            testId="edge-priority"
            min={0}
            max={24}
            step={0.5}
            digits={1}
            value={inspector.edgePriority.value}
            onChange={(value) => (inspector.edgePriority.value = value)}
          />
          bits
        </span>
      </div>
      <div
        class="row"
        title={
          globalTokens > 0
            ? 'Entropy given the global tokens, or given them and the patches already kept'
            : 'Entropy given nothing, or given the patches already kept'
        }
      >
        <span>ranking</span>
        <Dropdown
          plain
          label="Ranking"
          testId="ranking"
          options={rankingOptions}
          value={inspector.criterion.value}
          onChange={(criterion) => (inspector.criterion.value = criterion)}
        />
      </div>
      <div
        class="row"
        title="The total that ε is a share of: this image's own bits, or the model's reference, the same for every image"
      >
        <span>budget</span>
        <Dropdown
          plain
          label="Budget"
          testId="budget"
          options={budgetOptions}
          value={inspector.budget.value}
          onChange={(budget) => (inspector.budget.value = budget)}
        />
      </div>
    </div>
  );
}

function Defaults(): JSX.Element {
  const { inspector, session } = useServices();
  const [saved, setSaved] = useState(false);
  const defaults = inspector.picture.value?.model.defaults;
  const save = async (): Promise<void> => {
    await session.saveDefaults();
    setSaved(inspector.notice.value === undefined);
    setTimeout(() => setSaved(false), 2000);
  };
  return (
    <>
      <Button
        appearance="icon"
        testId="reset"
        title="Back to the model's own ε, β, budget and ranking"
        onPress={() => defaults && inspector.setSettings(defaults)}
      >
        Reset
      </Button>
      <Button
        appearance="icon"
        testId="save-defaults"
        title="Keep ε, β, budget and ranking in the workspace's settings"
        onPress={() => void save()}
      >
        {saved ? 'Saved' : 'Save'}
      </Button>
    </>
  );
}
