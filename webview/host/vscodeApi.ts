/** The only door VS Code gives a webview; it may be asked for once per page. */
export interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

export function connectToVsCode(): VsCodeApi {
  return acquireVsCodeApi();
}
