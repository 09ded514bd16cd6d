import type { JSX } from 'preact';
import { createLayers } from './state/layers';
import type { Theme } from './canvas/theme';
import { Exporter, ExporterContext, useExporter } from './export/exporter';
import { connectToHost, type VsCodeApi } from './host/connection';
import { ServicesContext, useServices } from './state/context';
import { Inspector } from './state/inspector';
import { startSession } from './state/session';
import { readViewState, saveState } from './state/viewState';
import { ExperimentsPanel } from './experiments/ExperimentsPanel';
import { PictureMenu } from './experiments/PictureMenu';
import { usePageKeys } from './experiments/pictureInput';
import { Targets } from './experiments/Targets';
import { PictureStage } from './stage/PictureStage';
import { AnchorsPanel } from './controls/AnchorsPanel';
import { GlobalTokens } from './controls/GlobalTokens';
import { Header } from './controls/Header';
import { LossRate } from './controls/LossRate';
import { PatchReadout } from './controls/PatchReadout';
import { TokenCounts } from './controls/TokenCounts';
import { Toolbar } from './controls/Toolbar';
import { BitsHistogram } from './plots/BitsHistogram';
import { EntropyCurve } from './plots/EntropyCurve';
import { RateDistortionPlot } from './plots/RateDistortionPlot';

/** The page of one tokenization. */
export function inspectorPage(api: VsCodeApi, theme: Theme): JSX.Element {
  const inspector = new Inspector(readViewState(api.getState()));
  const connection = connectToHost(api);
  const session = startSession(inspector, connection, { attention: () => true, models: true, remembered: true });
  const layers = createLayers(inspector, session.influence);
  saveState(inspector.viewState, api);
  return (
    <ServicesContext.Provider value={{ inspector, session, layers, theme }}>
      <ExporterContext.Provider value={new Exporter(inspector, layers, connection)}>
        <App />
      </ExporterContext.Provider>
    </ServicesContext.Provider>
  );
}

/** The inspector: picture at the left, what it costs at the right, its parts below. */
function App(): JSX.Element {
  const services = useServices();
  const { inspector } = services;
  usePageKeys(services);
  const exporter = useExporter();
  const picture = inspector.picture.value;
  const shown = picture !== undefined;
  const filters = inspector.filters.value;
  const rates = inspector.rates.value;
  const hasGlobals = picture !== undefined && picture.model.globalTokens > 0;
  return (
    <div class={!shown ? 'inspector empty' : hasGlobals ? 'inspector' : 'inspector no-globals'} data-testid="inspector">
      <Header />
      <main>
        {shown && <Toolbar />}
        <PictureStage experimental onScene={(scene) => exporter.picture(scene)}>
          {(controller) => <PictureMenu controller={controller} />}
        </PictureStage>
      </main>
      {shown && (
        <>
          <aside class="sidebar" aria-label={rates ? 'Filtering' : 'Tokens and quality'}>
            {rates && <LossRate />}
            {rates && <Targets />}
            <TokenCounts />
            <ExperimentsPanel />
            {filters && (
              <>
                <EntropyCurve />
                <BitsHistogram />
              </>
            )}
            {rates && <RateDistortionPlot />}
            <AnchorsPanel />
          </aside>
          {hasGlobals && <GlobalTokens />}
          <PatchReadout />
        </>
      )}
    </div>
  );
}
