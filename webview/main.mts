import { render, type JSX } from 'preact';
import { watchTheme, type Theme } from './canvas/theme';
import { comparisonPage } from './comparison/comparisonPage';
import { inspectorPage } from './inspectorPage';
import { registerToolkit } from './ui/toolkit';
import { connectToVsCode, type VsCodeApi } from './host/connection';
import type { PageName } from '../src/protocol/document';
import './styles/index.css';

/** Pages of this bundle. */
const pages = {
  inspector: inspectorPage,
  comparison: comparisonPage,
} satisfies Partial<Record<PageName, (api: VsCodeApi, theme: Theme) => JSX.Element>>;

registerToolkit();
const root = document.getElementById('root');
const page = Object.entries(pages).find(([name]) => name === root?.dataset['page'])?.[1];
if (root === null || page === undefined) throw new Error('the page has no #root');
render(page(connectToVsCode(), watchTheme()), root);
