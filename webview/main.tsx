import { createElement, render } from 'preact';
import { App } from './App';
import { createLayers } from './canvas/layers';
import { watchTheme } from './canvas/theme';
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
const session = startSession(inspector, connectToHost(api), api);
const services = { inspector, session, layers: createLayers(inspector, session.influence), theme: watchTheme() };
registerToolkit();

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
render(createElement(ServicesContext.Provider, { value: services }, <App />), root);
