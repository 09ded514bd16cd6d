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
import { isSideMessage, type Side, type SideMessage } from '../../src/protocol/comparison';

/**
 * JSON-RPC over the webview's two one-way channels: window 'message' events in, `postMessage` out. Typed arrays survive.
 * @param side of a comparison, which shares the channels with the other.
 */
export function connectToHost(api: Pick<VsCodeApi, 'postMessage'>, side?: Side): MessageConnection {
  return createMessageConnection(new WindowReader(side), new HostWriter(api, side));
}

class WindowReader extends AbstractMessageReader implements MessageReader {
  constructor(private readonly side: Side | undefined) {
    super();
  }

  listen(callback: DataCallback): Disposable {
    const receive = ({ data }: MessageEvent<unknown>): void => {
      const side = isSideMessage(data) ? data.side : undefined;
      const message = isSideMessage(data) ? data.message : data;
      if (side === this.side && isMessage(message)) callback(message);
    };
    window.addEventListener('message', receive);
    return { dispose: () => window.removeEventListener('message', receive) };
  }
}

class HostWriter extends AbstractMessageWriter implements MessageWriter {
  constructor(
    private readonly api: Pick<VsCodeApi, 'postMessage'>,
    private readonly side: Side | undefined,
  ) {
    super();
  }

  async write(message: Message): Promise<void> {
    const { side } = this;
    this.api.postMessage(side === undefined ? message : ({ side, message } satisfies SideMessage));
  }

  end(): void {}
}

function isMessage(data: unknown): data is Message {
  return typeof data === 'object' && data !== null && 'jsonrpc' in data;
}

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
