import type { JSX } from 'preact';
import { Status } from './Status';
import { TokensFile } from './TokensFile';
import { Neighbours } from '../experiments/Neighbours';
import { useServices } from '../state/context';
import { Disclosure, MenuButton, Row } from '../ui/ownControls';
import { Button, Dropdown } from '../ui/toolkit';
import { describeCodebook } from '../../src/method/codebook';
import { describePage } from '../../src/method/patch';
import { mainStream } from '../../src/method/streams';
import {
  noDriver,
  type CropMode,
  type ModelDescription,
  type ShownImage,
  type ProviderName,
  type ProviderReport,
} from '../../src/method/types';
import { useExporter } from '../export/exporter';
import { exportChoices } from '../../src/protocol/exports';

/** Name and size of the picture, the model, the provider and the times. */
export function Header(): JSX.Element {
  const { inspector } = useServices();
  const document = inspector.document.value;
  const picture = inspector.picture.value;
  const tokenization = inspector.tokenization.value;
  return (
    <header class="header">
      <h1 class="file-name">{document?.name ?? 'TaTok Inspector'}</h1>
      {document && document.tokens === undefined && <Neighbours />}
      <TokensFile />
      {picture && <Dimensions image={picture.image} />}
      <ModelSelect />
      {picture && <ModelDetails model={picture.model} summary="About" />}
      {picture && <Status />}
      {tokenization && <ProviderChip report={tokenization.provider} />}
      <ExportMenu />
      <PhaseAnnouncement />
    </header>
  );
}

const cropOptions: readonly { value: CropMode; label: string }[] = [
  { value: 'centre', label: 'centre crop' },
  { value: 'fit', label: 'fit with padding' },
  { value: 'tiles', label: 'tiles at native resolution' },
];

const cropHints: Record<CropMode, string> = {
  centre: 'Short side scaled to the model, centre cropped (the ImageNet protocol)',
  fit: 'Long side scaled to the model, padded with grey 128 at the right or below; padding is neither shown nor counted',
  tiles: 'Cut at its own resolution; edge tiles padded by mirroring; padding is neither shown nor counted',
};

export function Dimensions({ image }: { readonly image: ShownImage }): JSX.Element {
  const { inspector, session } = useServices();
  const cropMode = inspector.cropMode.value;
  const tiles = image.tiles.rows * image.tiles.columns;
  const fixed = inspector.document.value?.tokens !== undefined;
  return (
    <span class="dimensions" data-testid="dimensions">
      <span class="size">
        {inspector.hasOriginal.value && (
          <>
            {image.sourceWidth}×{image.sourceHeight}
            {image.page && ` (${describePage(image.page)})`} →{' '}
          </>
        )}
        {image.width}×{image.height}
        {tiles > 1 && ` in ${image.tiles.columns}×${image.tiles.rows} tiles`}
      </span>{' '}
      {!fixed && (
        <Dropdown
          plain
          label="Crop mode"
          testId="crop-mode"
          title={cropHints[cropMode]}
          options={cropOptions}
          value={cropMode}
          onChange={(mode) => session.chooseCropMode(mode)}
        />
      )}
    </span>
  );
}

const chooseFolder = 'choose folder';

/** The model in use, and the others: chosen for this image only. */
export function ModelSelect(): JSX.Element | null {
  const { inspector, session } = useServices();
  const menu = inspector.models.value;
  if (menu === undefined) return null;
  return (
    <Dropdown
      label="Model"
      testId="model"
      title={menu.directory}
      disabled={inspector.choosingModel.value}
      options={[
        ...menu.options.map(({ id, label }) => ({ value: id, label })),
        { value: chooseFolder, label: 'Choose folder…' },
      ]}
      value={menu.current}
      onChange={(value) => void session.chooseModel(value === chooseFolder ? null : value)}
    />
  );
}

interface ModelDetailsProps {
  readonly model: ModelDescription;
  readonly summary: string;
}

export function ModelDetails({ model, summary }: ModelDetailsProps): JSX.Element {
  return (
    <Disclosure summary={summary} title="About this model" testId="model-details">
      <dl class="rows">
        <Row name="version">{model.version}</Row>
        <Row name="patch tokens N">
          {model.patchTokens === 0 ? 'none' : `${model.patchTokens} (${model.grid.rows}×${model.grid.columns})`}
        </Row>
        <Row name="global tokens K">{model.globalTokens === 0 ? 'none' : model.globalTokens}</Row>
        {!model.filters && <Row name="entropy model">none</Row>}
        <Row name="codebook V">{describeCodebook(mainStream(model).codebook)}</Row>
        {model.filters && <Row name="reference budget">{model.referenceBudgetBits.toFixed(0)} bits</Row>}
      </dl>
      <p class="path">{model.directory}</p>
    </Disclosure>
  );
}

/** Announces to screen readers, once each, that work began and that its result can be read. */
function PhaseAnnouncement(): JSX.Element {
  const { inspector } = useServices();
  const { name = '', tokens } = inspector.document.value ?? {};
  const { kind } = inspector.phase.value;
  const [work, done] = tokens === undefined ? ['Tokenizing', 'is tokenized'] : ['Opening', 'is open'];
  const text = kind === 'working' ? `${work} ${name}` : kind === 'ready' ? `${name} ${done}` : '';
  return (
    <span class="visually-hidden" role="status" data-testid="phase-said">
      {text}
    </span>
  );
}

/** Everything that can be taken away from here, and word of what was. */
function ExportMenu(): JSX.Element | null {
  const exporter = useExporter();
  const { inspector, session } = useServices();
  const model = inspector.picture.value?.model;
  if (model === undefined) return null;
  const [view = [], ...others] = exportChoices(model).map((group) =>
    group.map(({ kind, label, detail }) => ({
      label,
      title: detail,
      disabled: exporter.unavailable(kind, session.rateDistortion),
      testId: `export-${kind}`,
      onChoose: () => void exporter.save(kind),
    })),
  );
  const copy = {
    label: 'Copy view',
    title: 'The picture with its legend, to the clipboard',
    testId: 'export-copy',
    onChoose: () => void exporter.copyView(),
  };
  return (
    <>
      <span class="muted confirmation" role="status" data-testid="export-said">
        {exporter.confirmation.value}
      </span>
      <MenuButton title="Export this tokenization" testId="export" groups={[[...view, copy], ...others]}>
        Export
      </MenuButton>
    </>
  );
}

const names: Record<ProviderName, string> = {
  cuda: 'CUDA',
  cpu: 'CPU',
  dml: 'DirectML',
  coreml: 'Core ML',
  webgpu: 'WebGPU',
};

/** The provider in use; why an earlier one of the order could not be used is never silent. */
export function ProviderChip({ report }: { readonly report: ProviderReport }): JSX.Element {
  const { failures } = report;
  const { session } = useServices();
  // Where there is no GPU, the CPU is no fallback.
  const fallback = failures.some(({ reason }) => reason !== noDriver);
  const name = names[report.provider];
  const title =
    failures.length === 0
      ? `Runs on ${name}`
      : `Runs on ${name}. ${failures.map(({ provider, reason }) => `${provider}: ${reason}`).join(' ')}`;
  return (
    <Disclosure
      title={title}
      testId="provider"
      summary={
        <>
          <span class={fallback ? 'dot fallback' : 'dot'} aria-hidden="true" />
          {name}
          {fallback && <span class="visually-hidden"> (a fallback)</span>}
        </>
      }
    >
      {failures.length === 0 ? (
        <p>The first provider of the configured order is in use.</p>
      ) : (
        <>
          <dl class="reasons">
            {failures.map(({ provider, reason }) => (
              <div key={provider}>
                <dt>{provider} was not available</dt>
                <dd>{reason}</dd>
              </div>
            ))}
          </dl>
          {failures.some(({ provider }) => provider === 'cuda') && (
            <div class="buttons">
              <Button testId="set-up-cuda" onPress={() => session.runAction('setUpCuda')}>
                Set Up CUDA…
              </Button>
            </div>
          )}
        </>
      )}
    </Disclosure>
  );
}
