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
import { usePageKeys } from './experiments/pageKeys';
import { Targets } from './experiments/Targets';
import { PictureStage } from './stage/PictureStage';
import { AnchorsPanel } from './controls/AnchorsPanel';
import { GlobalTokens } from './controls/GlobalTokens';
import { Header } from './controls/Header';
import { LossRate } from './controls/LossRate';
import { PatchCard } from './controls/PatchCard';
import { PictureMenu } from './controls/PictureMenu';
import { Results } from './controls/Results';
import { Toolbar } from './controls/Toolbar';
import { BitsHistogram } from './plots/BitsHistogram';
import { EntropyCurve } from './plots/EntropyCurve';
import { RateDistortionPlot } from './plots/RateDistortionPlot';
import { compact, low, stacked } from './ui/media';
import { Splitter } from './ui/ownControls';

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

/** Least and greatest width of figures and plots, CSS pixels. */
const widths = { min: 180, max: 640 } as const;

/**
 * The inspector: the picture with ε below it, its results and plots beside it or below, its global tokens at the foot. Picture, ε and
 * results are in sight whatever the size of the panel.
 */
function App(): JSX.Element {
  const services = useServices();
  const { inspector } = services;
  usePageKeys(services);
  const exporter = useExporter();
  const picture = inspector.picture.value;
  const shown = picture !== undefined;
  const { sideWidth } = inspector.arrangement.value;
  const hasGlobals = picture !== undefined && picture.model.globalTokens > 0;
  const kind = !shown ? 'empty' : stacked.value ? 'stacked' : 'beside';
  return (
    <div
      class={`inspector ${kind}${compact.value ? ' compact' : ''}${low.value ? ' low' : ''}`}
      style={sideWidth === undefined ? undefined : { '--side-width': `${sideWidth}px` }}
      data-testid="inspector"
    >
      <div class="first-screen">
        <Header />
        <main>
          {shown && <Toolbar />}
          <PictureStage experimental onScene={(scene) => exporter.picture(scene)}>
            {(controller) => (
              <>
                <PatchCard controller={controller} />
                <PictureMenu controller={controller} />
              </>
            )}
          </PictureStage>
          {shown && inspector.rates.value && <LossRate />}
        </main>
        {kind === 'stacked' && <Results />}
      </div>
      {shown && (
        <>
          <aside class="sidebar" aria-label="Results and plots">
            {kind === 'beside' && (
              <Splitter
                label="Width of results and plots"
                testId="side-width"
                sets="width"
                {...widths}
                onResize={(width) => inspector.arrange({ sideWidth: width })}
                onReset={() => inspector.arrange({ sideWidth: undefined })}
              />
            )}
            {kind === 'beside' && <Results />}
            <div class="plots">
              {inspector.rates.value && <Targets />}
              <ExperimentsPanel />
              {inspector.rates.value && <RateDistortionPlot />}
              {inspector.filters.value && (
                <>
                  <EntropyCurve />
                  <BitsHistogram />
                </>
              )}
              <AnchorsPanel />
            </div>
          </aside>
          {hasGlobals && <GlobalTokens />}
        </>
      )}
    </div>
  );
}
