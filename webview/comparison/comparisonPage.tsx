import { effect } from '@preact/signals';
import type { JSX } from 'preact';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import { ComparedCurves } from './ComparedCurves';
import { ComparedFigures, ComparedReadout } from './ComparedFigures';
import { ComparedRates } from './ComparedRates';
import { SideSettings } from './SideSettings';
import {
  Comparison,
  ComparisonContext,
  layouts,
  readComparisonState,
  useComparison,
  type ComparisonLayout,
  type SideState,
} from './comparison';
import { ComparisonExporter, ComparisonExporterContext, useComparisonExporter } from './comparisonExporter';
import type { Theme } from '../canvas/theme';
import { AttentionChoices, InfluenceProgress } from '../controls/GlobalTokens';
import { Dimensions, ModelDetails, ModelSelect, ProviderChip } from '../controls/Header';
import { Status } from '../controls/Status';
import { Toolbar } from '../controls/Toolbar';
import { connectToHost, type VsCodeApi } from '../host/connection';
import { PictureStage } from '../stage/PictureStage';
import { StageMessages } from '../stage/StageMessages';
import { ServicesContext, useServices, type Services } from '../state/context';
import { Inspector, type SharedView } from '../state/inspector';
import { createLayers, type Layers } from '../state/layers';
import { startSession } from '../state/session';
import { overlays, saveState, type View } from '../state/viewState';
import { MenuButton, type MenuItem } from '../ui/ownControls';
import { Button, Dropdown, RadioGroup } from '../ui/toolkit';
import type { Side } from '../../src/protocol/comparison';
import { comparisonChoices } from '../../src/protocol/exports';

/** The page of two tokenizations: an inspector for each, with one view. */
export function comparisonPage(api: VsCodeApi, theme: Theme): JSX.Element {
  const stored = readComparisonState(api.getState());
  const connections = new Map<Services, MessageConnection>();
  const open = (side: Side, state: SideState, peer: () => Layers, shared?: SharedView): Services => {
    const inspector = new Inspector(state, shared);
    const connection = connectToHost(api, side);
    const session = startSession(inspector, connection, {
      attention: () => inspector.overlay.value === 'attention',
      models: true,
    });
    const services = { inspector, session, layers: createLayers(inspector, session.influence, peer), theme };
    connections.set(services, connection);
    return services;
  };
  const a: Services = open('a', stored.a, () => b.layers);
  const b: Services = open('b', stored.b, () => a.layers, a.inspector);
  const comparison = new Comparison(a, b, stored);
  saveState(comparison.state, api);
  effect(() => {
    if (comparison.tokenized.value) comparison.begin();
  });
  return (
    <ComparisonContext.Provider value={comparison}>
      <ComparisonExporterContext.Provider value={new ComparisonExporter(comparison, connections, a.inspector.notice)}>
        <App />
      </ComparisonExporterContext.Provider>
    </ComparisonContext.Provider>
  );
}

const views: readonly View[] = ['original', 'reconstruction', 'difference'];

const layoutLabels: Record<ComparisonLayout, string> = { beside: 'Side by side', swipe: 'Swipe' };
const layoutOptions = layouts.map((value) => ({ value, label: layoutLabels[value] }));

/** Two tokenizations: pictures above, what they cost and how they differ below. */
function App(): JSX.Element {
  const comparison = useComparison();
  const exporter = useComparisonExporter();
  const [left, right] = [comparison.left.value, comparison.right.value];
  const name = ({ inspector }: typeof left): string => inspector.document.value?.name ?? '…';
  // An overlay that one side alone has compares nothing.
  const offered = overlays.filter((overlay) =>
    [left, right].every(({ inspector }) => inspector.overlays.value.includes(overlay)),
  );
  const swipe = comparison.layout.value === 'swipe';
  return (
    <div class={swipe ? 'comparison swiped' : 'comparison'} data-testid="comparison">
      <main>
        <h1 class="visually-hidden">
          {name(left)} compared with {name(right)}
        </h1>
        <ServicesContext.Provider value={left}>
          <Toolbar views={views} overlays={offered} after={<ComparedTokens />}>
            <RadioGroup
              label="Layout"
              testId="layout"
              options={layoutOptions}
              value={comparison.layout.value}
              onChange={(layout) => (comparison.layout.value = layout)}
            />
            <Button label="Swap" title="Exchange A and B" testId="swap" onPress={() => comparison.swap()}>
              ⇄ Swap
            </Button>
            <ComparisonExportMenu />
          </Toolbar>
        </ServicesContext.Provider>
        <ServicesContext.Provider value={left}>
          <section class="side" aria-label="A" data-testid="left">
            <SideHeader letter="A" />
            {!swipe && <PictureStage name="Picture of A" onScene={(scene) => exporter.picture(left, scene)} />}
          </section>
        </ServicesContext.Provider>
        <ServicesContext.Provider value={right}>
          <section class="side" aria-label="B" data-testid="right">
            <SideHeader letter="B" />
            {!swipe && <PictureStage name="Picture of B" onScene={(scene) => exporter.picture(right, scene)} />}
          </section>
        </ServicesContext.Provider>
        {swipe && (
          <ServicesContext.Provider value={left}>
            <PictureStage
              name="Pictures of A and B"
              onScene={(scene) => exporter.picture(left, scene)}
              other={{
                inspector: right.inspector,
                layers: right.layers,
                names: ['A', 'B'],
                onOnePhotograph: comparison.samePhotograph,
              }}
            >
              <ServicesContext.Provider value={right}>
                <StageMessages />
              </ServicesContext.Provider>
            </PictureStage>
          </ServicesContext.Provider>
        )}
        <div class="compared">
          <ComparedFigures />
          <ComparedCurves />
          <ComparedRates />
          <ComparedReadout />
        </div>
      </main>
    </div>
  );
}

/** Which image is on a side, by which model, and where it ran. */
function SideHeader({ letter }: { readonly letter: string }): JSX.Element {
  const { inspector } = useServices();
  const tokenization = inspector.tokenization.value;
  const document = inspector.document.value;
  return (
    <header class="header">
      <span class={`side-letter of-${letter.toLowerCase()}`} aria-hidden="true">
        {letter}
      </span>
      <h2 class="file-name" title={document?.uri}>
        {document?.name ?? '…'}
      </h2>
      {tokenization && <Dimensions image={tokenization.image} />}
      <ModelSelect />
      {tokenization && <ModelDetails model={tokenization.model} summary="About" />}
      {inspector.overlay.value === 'influence' && <InfluenceProgress />}
      <Status timed={false} />
      {tokenization && <ProviderChip report={tokenization.provider} />}
      <SideSettings letter={letter} />
    </header>
  );
}

/** Which global token's attention or influence both sides show, while they show any. */
function ComparedTokens(): JSX.Element | null {
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
      <Dropdown
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

/** Both pictures, taken away from here, and word of what was. */
function ComparisonExportMenu(): JSX.Element {
  const exporter = useComparisonExporter();
  const [picture, ...data] = comparisonChoices.map(({ kind, label, detail }): MenuItem => ({
    label,
    title: detail,
    testId: `export-${kind}`,
    onChoose: () => void exporter.save(kind),
  }));
  const copy: MenuItem = {
    label: 'Copy comparison',
    title: 'Both pictures with their legend, to the clipboard',
    testId: 'export-copy',
    onChoose: () => void exporter.copy(),
  };
  return (
    <>
      <MenuButton
        title="Export this comparison"
        testId="export"
        groups={[picture === undefined ? [copy] : [picture, copy], data]}
      >
        Export
      </MenuButton>
      <span class="muted confirmation" role="status" data-testid="export-said">
        {exporter.confirmation.value}
      </span>
    </>
  );
}
