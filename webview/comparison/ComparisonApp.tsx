import type { JSX } from 'preact';
import { useComparison } from './comparison';
import { ComparedCurves } from './ComparedCurves';
import { ComparedFigures } from './ComparedFigures';
import { ComparedReadout } from './ComparedReadout';
import { ComparedTokens } from './ComparedTokens';
import { useComparisonExporter } from './comparisonExporter';
import { ComparisonExportMenu } from './ComparisonExportMenu';
import { layouts, type ComparisonLayout } from './comparisonState';
import { SideHeader } from './SideHeader';
import { PictureStage, StageMessages } from '../stage/PictureStage';
import { Toolbar } from '../controls/Toolbar';
import { ServicesContext } from '../state/context';
import { overlays, type View } from '../state/viewState';
import { Segmented } from '../ui/Segmented';

const views: readonly View[] = ['original', 'reconstruction', 'difference'];

const layoutLabels: Record<ComparisonLayout, string> = { beside: 'Side by side', swipe: 'Swipe' };
const layoutOptions = layouts.map((value) => ({ value, label: layoutLabels[value] }));

/** Two tokenizations: pictures above, what they cost and how they differ below. */
export function ComparisonApp(): JSX.Element {
  const comparison = useComparison();
  const exporter = useComparisonExporter();
  const [left, right] = [comparison.left.value, comparison.right.value];
  const name = ({ inspector }: typeof left): string => inspector.document.value?.name ?? '…';
  // A side whose model has no such overlay shows its picture alone.
  const offered = overlays.filter((overlay) =>
    [left, right].some(({ inspector }) => inspector.overlays.value.includes(overlay)),
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
            <Segmented
              label="Layout"
              testId="layout"
              options={layoutOptions}
              value={comparison.layout.value}
              onChange={(layout) => (comparison.layout.value = layout)}
            />
            <button
              type="button"
              class="chip"
              title="Exchange A and B"
              data-testid="swap"
              onClick={() => comparison.swap()}
            >
              <span aria-hidden="true">⇄</span> Swap
            </button>
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

              other={{ inspector: right.inspector, layers: right.layers, names: ['A', 'B'] }}
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
          <ComparedReadout />
        </div>
      </main>
    </div>
  );
}
