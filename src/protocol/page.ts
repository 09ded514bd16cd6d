/** Which page the one script of a webview makes: the root's `data-page`. */
export type PageName = 'inspector' | 'comparison';
