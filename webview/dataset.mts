import { render } from 'preact';
import { datasetPage } from './dataset/datasetPage';
import { connectToVsCode } from './host/connection';
import { registerToolkit } from './ui/toolkit';
import './styles/base.css';
import './styles/layout.css';
import './styles/controls.css';
import './styles/plots.css';
import './styles/dataset.css';
import './styles/contrast.css';

registerToolkit();
const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
render(datasetPage(connectToVsCode()), root);
