import type { JSX } from 'preact';
import { App } from './App';
import { createLayers } from './state/layers';
import type { Theme } from './canvas/theme';
import { Exporter, ExporterContext } from './export/exporter';
import { connectToHost } from './host/rpc';
import { ServicesContext } from './state/context';
import { Inspector } from './state/inspector';
import { saveState } from './state/savedState';
import { startSession } from './state/session';
import { readViewState } from './state/viewState';
import type { VsCodeApi } from './host/vscodeApi';

/** The page of one tokenization. */
export function inspectorPage(api: VsCodeApi, theme: Theme): JSX.Element {
  const inspector = new Inspector(readViewState(api.getState()));
  const connection = connectToHost(api);
  const session = startSession(inspector, connection, { attention: () => true, models: true });
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
