import type { JSX } from 'preact';
import { PictureStage } from './stage/PictureStage';
import { GlobalTokens } from './controls/GlobalTokens';
import { Header } from './controls/Header';
import { LossRate } from './controls/LossRate';
import { PatchReadout } from './controls/PatchReadout';
import { TokenCounts } from './controls/TokenCounts';
import { Toolbar } from './controls/Toolbar';
import { useExporter } from './export/exporter';
import { BitsHistogram } from './plots/BitsHistogram';
import { EntropyCurve } from './plots/EntropyCurve';
import { RateDistortionPlot } from './plots/RateDistortionPlot';
import { useServices } from './state/context';

/** The inspector: picture at the left, what it costs at the right, its parts below. */
export function App(): JSX.Element {
  const { inspector } = useServices();
  const exporter = useExporter();
  const picture = inspector.picture.value;
  const shown = picture !== undefined;
  const filters = inspector.filters.value;
  const hasGlobals = picture !== undefined && picture.model.globalTokens > 0;
  return (
    <div class={!shown ? 'inspector empty' : hasGlobals ? 'inspector' : 'inspector no-globals'} data-testid="inspector">
      <Header />
      <main>
        {shown && <Toolbar />}
        <PictureStage onScene={(scene) => exporter.picture(scene)} />
      </main>
      {shown && (
        <>
          <aside class="sidebar" aria-label={filters ? 'Filtering' : 'Tokens and quality'}>
            {filters && <LossRate />}
            <TokenCounts />
            {filters && (
              <>
                <EntropyCurve />
                <BitsHistogram />
                <RateDistortionPlot />
              </>
            )}
          </aside>
          {hasGlobals && <GlobalTokens />}
          <PatchReadout />
        </>
      )}
    </div>
  );
}
