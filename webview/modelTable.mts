import { render } from 'preact';
import { connectToVsCode } from './host/connection';
import { modelTablePage } from './modelTable/modelTablePage';
import { registerToolkit } from './ui/toolkit';
import './styles/base.css';
import './styles/layout.css';
import './styles/controls.css';
import './styles/modelTable.css';
import './styles/contrast.css';

registerToolkit();
const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
render(modelTablePage(connectToVsCode()), root);
