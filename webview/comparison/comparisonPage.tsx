import { effect } from '@preact/signals';
import type { JSX } from 'preact';
import type { MessageConnection } from 'vscode-jsonrpc/browser';
import { Comparison, ComparisonContext, readComparisonState, type SideState } from './comparison';
import { ComparisonApp } from './ComparisonApp';
import { ComparisonExporter, ComparisonExporterContext } from './comparisonExporter';
import { createLayers, type Layers } from '../state/layers';
import type { Theme } from '../canvas/theme';
import { connectToHost, type VsCodeApi } from '../host/connection';
import type { Services } from '../state/context';
import { Inspector, type SharedView } from '../state/inspector';
import { saveState } from '../state/savedState';
import { startSession } from '../state/session';
import type { Side } from '../../src/protocol/comparison';

/** The page of two tokenizations: an inspector for each, with one view. */
export function comparisonPage(api: VsCodeApi, theme: Theme): JSX.Element {
  const stored = readComparisonState(api.getState());
  const connections = new Map<Services, MessageConnection>();
  const open = (side: Side, state: SideState, peer: () => Layers, shared?: SharedView): Services => {
    const inspector = new Inspector(state, shared);
    const connection = connectToHost(api, side);
    const session = startSession(inspector, connection, {
      attention: () => inspector.overlay.value === 'attention',
      models: false,
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
        <ComparisonApp />
      </ComparisonExporterContext.Provider>
    </ComparisonContext.Provider>
  );
}
