import { isSideMessage, type Side, type SideMessage } from '../protocol/comparison';
import type { MessagePort } from './webviewConnection';

/** One side's own port through a webview that both sides share. */
export function sidePort(webview: MessagePort, side: Side): MessagePort {
  return {
    postMessage: (message: unknown) => webview.postMessage({ side, message } satisfies SideMessage),
    onDidReceiveMessage: (listener, receiver: unknown, disposables) =>
      webview.onDidReceiveMessage(
        (value: unknown) => {
          if (isSideMessage(value) && value.side === side) listener.call(receiver, value.message);
        },
        undefined,
        disposables,
      ),
  };
}
