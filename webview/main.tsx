import { createElement, render } from 'preact';
import { App } from './App';
import { createLayers } from './canvas/layers';
import { watchTheme } from './canvas/theme';
import { Exporter } from './export/exporter';
import { connectToHost } from './rpc';
import { ServicesContext } from './state/context';
import { Inspector } from './state/inspector';
import { startSession } from './state/session';
import { readViewState } from './state/viewState';
import { registerToolkit } from './ui/toolkit';
import { connectToVsCode } from './vscodeApi';
import './styles/index.css';

const api = connectToVsCode();
const inspector = new Inspector(readViewState(api.getState()));
const connection = connectToHost(api);
const session = startSession(inspector, connection, api);
const layers = createLayers(inspector, session.influence);
const exporter = new Exporter(inspector, layers, connection);
const services = { inspector, session, layers, theme: watchTheme(), exporter };
registerToolkit();

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
render(createElement(ServicesContext.Provider, { value: services }, <App />), root);
