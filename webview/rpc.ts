import {
  AbstractMessageReader,
  AbstractMessageWriter,
  createMessageConnection,
  type Message,
  type DataCallback,
  type Disposable,
  type MessageConnection,
  type MessageReader,
  type MessageWriter,
} from 'vscode-jsonrpc/browser';
import type { VsCodeApi } from './vscodeApi';

/** JSON-RPC over the webview's two one-way channels: window 'message' events in, `postMessage` out. Typed arrays survive. */
export function connectToHost(api: Pick<VsCodeApi, 'postMessage'>): MessageConnection {
  return createMessageConnection(new WindowReader(), new HostWriter(api));
}

class WindowReader extends AbstractMessageReader implements MessageReader {
  listen(callback: DataCallback): Disposable {
    const receive = (event: MessageEvent<unknown>): void => {
      if (isMessage(event.data)) callback(event.data);
    };
    window.addEventListener('message', receive);
    return { dispose: () => window.removeEventListener('message', receive) };
  }
}

class HostWriter extends AbstractMessageWriter implements MessageWriter {
  constructor(private readonly api: Pick<VsCodeApi, 'postMessage'>) {
    super();
  }

  async write(message: Message): Promise<void> {
    this.api.postMessage(message);
  }

  end(): void {}
}

function isMessage(data: unknown): data is Message {
  return typeof data === 'object' && data !== null && 'jsonrpc' in data;
}
