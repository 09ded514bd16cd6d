import { render, type JSX } from 'preact';
import { watchTheme, type Theme } from './canvas/theme';
import { comparisonPage } from './comparison/comparisonPage';
import { inspectorPage } from './inspectorPage';
import { registerToolkit } from './ui/toolkit';
import { connectToVsCode, type VsCodeApi } from './host/connection';
import type { PageName } from '../src/protocol/document';
import './styles/index.css';

const pages: Readonly<Record<PageName, (api: VsCodeApi, theme: Theme) => JSX.Element>> = {
  inspector: inspectorPage,
  comparison: comparisonPage,
};

registerToolkit();
const root = document.getElementById('root');
const name = root?.dataset['page'];
if (root === null || (name !== 'inspector' && name !== 'comparison')) throw new Error('the page has no #root');
render(pages[name](connectToVsCode(), watchTheme()), root);
