/** Which page the one script of a webview makes: the root's `data-page`. */
export const pageNames = ['inspector', 'comparison'] as const;
export type PageName = (typeof pageNames)[number];
