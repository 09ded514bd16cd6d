import type { JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { Explanation } from '../plots/Explanation';
import { useWidth } from '../plots/Axis';
import { useServices } from '../state/context';
import { lossRateStep, snapLossRate, tokenMarks } from '../state/lossRate';
import { compact } from '../ui/media';
import { Disclosure, Range } from '../ui/ownControls';
import { Button, Dropdown, NumberField } from '../ui/toolkit';
import { stepUnit } from '../../src/method/streams';
import type { Budget, ModelDescription, RankingCriterion } from '../../src/method/types';

type RankingOptions = readonly { readonly value: RankingCriterion; readonly label: string }[];

const rankings: RankingOptions = [
  { value: 'entropy', label: 'entropy' },
  { value: 'sequential', label: 'sequential' },
  { value: 'distortion', label: 'by distortion' },
];

/** Of a model whose tokens have entropies given each other. */
const elimination: RankingOptions = [{ value: 'sequential', label: 'elimination' }];

/** Rankings that a model has. */
export function rankingOptions(model: Pick<ModelDescription, 'givenOthers'> | undefined): RankingOptions {
  return model?.givenOthers === true ? elimination : rankings;
}

export const budgetOptions: readonly { value: Budget; label: string }[] = [
  { value: 'image', label: 'this image' },
  { value: 'reference', label: 'reference' },
];

/** ε with all that decides what it drops: as wide as the picture above it, with numbers of tokens along it. */
export function LossRate(): JSX.Element {
  const { inspector } = useServices();
  return (
    <section class="panel loss-rate" aria-labelledby="loss-rate-title">
      <div class="title-line">
        <h2 id="loss-rate-title">
          Information loss rate <span class="symbol">ε</span>
        </h2>
        <Explanation of="lossRate" />
        <LossRateNumber />
        {!inspector.filters.value ? <Length /> : compact.value ? <FilterCard /> : <FilterChoices />}
        <span class="spacer" />
        <Defaults />
      </div>
      <LossRateRange id="loss-rate" />
      <TokenMarks />
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
  const lossRate = inspector.lossRate.value;
  const tokens = inspector.selected.value?.totalTokens;
  return (
    <Range
      id={id}
      label={`Information loss rate ε${of}`}
      testId="loss-rate"
      step={lossRateStep}
      value={lossRate}
      valueText={tokens === undefined ? undefined : `${lossRate.toFixed(3)}: ${tokens} tokens`}
      onInput={(value) => (inspector.lossRate.value = snapLossRate(value))}
    />
  );
}

/** Half of the thumb of a slider, which its value does not pass, CSS pixels. */
const thumb = 8;
/** Room that a number of tokens takes, CSS pixels. */
const markWidth = 52;
const currentWidth = 76;

/** Numbers of tokens along ε: a click goes to one. The slider and its field do the same from the keyboard. */
function TokenMarks(): JSX.Element {
  const { inspector } = useServices();
  const line = useRef<HTMLDivElement>(null);
  const width = Math.max(1, useWidth(line, 600) - 2 * thumb);
  const sampled = inspector.sampled.value;
  const picture = inspector.picture.value;
  const budgetBits = inspector.budgetBits.value;
  const marks = useMemo(
    () =>
      sampled === undefined || picture === undefined
        ? []
        : tokenMarks(sampled, budgetBits, picture.model, picture.image, markWidth / width),
    [sampled, budgetBits, picture, width],
  );
  const lossRate = inspector.lossRate.value;
  const selected = inspector.selected.value;
  const room = (currentWidth + markWidth) / 2 / width;
  return (
    <div class="token-marks" ref={line} data-testid="token-marks" aria-hidden="true">
      {marks
        .filter((mark) => selected === undefined || Math.abs(mark.lossRate - lossRate) > room)
        .map((mark) => (
          <span
            key={mark.tokens}
            class="token-mark"
            style={{ left: `${thumb + width * mark.lossRate}px` }}
            title={`${mark.tokens} tokens`}
            onClick={() =>
              (inspector.lossRate.value = Math.min(1, Math.ceil(mark.lossRate / lossRateStep) * lossRateStep))
            }
          >
            {mark.tokens}
          </span>
        ))}
      {selected !== undefined && (
        <span
          class="token-mark current"
          style={{
            left: `${Math.min(width + 2 * thumb - currentWidth / 2, Math.max(currentWidth / 2, thumb + width * lossRate))}px`,
          }}
        >
          {selected.totalTokens} tokens
        </span>
      )}
    </div>
  );
}

/** ε as a length: the leading tokens, residual codes or scales that it keeps. */
function Length(): JSX.Element | null {
  const { inspector } = useServices();
  const model = inspector.picture.value?.model;
  if (model === undefined) return null;
  return (
    <span class="muted">
      leading {stepUnit(model)}s{' '}
      <span data-testid="length">
        {inspector.selected.value?.length ?? '–'} of {model.steps.length}
      </span>
    </span>
  );
}

/** The choices of the filter where there is no room for them: their values, and a card with them. */
function FilterCard(): JSX.Element {
  const { inspector } = useServices();
  const label = (options: readonly { value: string; label: string }[], value: string): string =>
    options.find((option) => option.value === value)?.label ?? value;
  return (
    <Disclosure
      title="Ranking, budget and edge priority"
      testId="filter"
      summary={`${label(rankingOptions(inspector.picture.value?.model), inspector.ranks.value)} · ${label(budgetOptions, inspector.budget.value)}`}
    >
      <FilterChoices />
    </Disclosure>
  );
}

function FilterChoices(): JSX.Element {
  const { inspector } = useServices();
  const model = inspector.picture.value?.model;
  return (
    <div class="filter-choices">
      <span class="choice">
        <span class="muted">ranking</span>
        <Dropdown
          plain
          label="Ranking"
          testId="ranking"
          options={rankingOptions(model)}
          value={inspector.ranks.value}
          onChange={(criterion) => (inspector.criterion.value = criterion)}
        />
        <Explanation of="ranking" />
      </span>
      <span class="choice">
        <span class="muted">budget</span>
        <Dropdown
          plain
          label="Budget"
          testId="budget"
          options={budgetOptions}
          value={inspector.budget.value}
          onChange={(budget) => (inspector.budget.value = budget)}
        />
        <Explanation of="budget" />
      </span>
      <span class="choice">
        <span class="muted">edge priority β</span>
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
        <Explanation of="edgePriority" />
      </span>
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
    <span class="defaults">
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
    </span>
  );
}
