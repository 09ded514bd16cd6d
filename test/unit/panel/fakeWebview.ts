import { setImmediate as immediate } from 'node:timers/promises';
import {
  AbstractMessageReader,
  AbstractMessageWriter,
  createMessageConnection,
  NullLogger,
  type DataCallback,
  type Message,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import { isSideMessage, type Side } from '../../../src/protocol/comparison';

/** A webview's two message channels; pages come and go behind it, as in VS Code. */
export class FakeWebview {
  private readonly listeners = new Set<(message: unknown) => void>();
  private page: ((message: unknown) => void) | undefined;
  private readonly sidePages = new Map<Side, DataCallback>();
  sent = 0;

  onDidReceiveMessage = (listener: (message: unknown) => void) => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };

  postMessage = async (message: unknown) => {
    this.sent++;
    const copy = structuredClone(message);
    await immediate();
    this.page?.(copy);
    return this.page !== undefined;
  };

  fromPage(message: unknown): void {
    for (const listener of this.listeners) listener(structuredClone(message));
  }

  /** Loads a page in place of the one shown. */
  loadPage(): MessageConnection {
    const connection = createMessageConnection(new PageReader(this), new PageWriter(this), NullLogger);
    connection.listen();
    return connection;
  }

  /** Loads one side of a comparison's page. */
  loadSide(side: Side): MessageConnection {
    const connection = createMessageConnection(new PageReader(this, side), new PageWriter(this, side), NullLogger);
    connection.listen();
    return connection;
  }

  show(callback: DataCallback, side?: Side): void {
    if (side === undefined) {
      this.page = (message) => callback(message as Message);
      return;
    }
    this.sidePages.set(side, callback);
    this.page = (message) => {
      if (isSideMessage(message)) this.sidePages.get(message.side)?.(message.message as Message);
    };
  }
}

class PageReader extends AbstractMessageReader {
  constructor(
    private readonly webview: FakeWebview,
    private readonly side?: Side,
  ) {
    super();
  }

  listen(callback: DataCallback) {
    this.webview.show(callback, this.side);
    return { dispose: () => undefined };
  }
}

class PageWriter extends AbstractMessageWriter {
  constructor(
    private readonly webview: FakeWebview,
    private readonly side?: Side,
  ) {
    super();
  }

  write(message: Message) {
    this.webview.fromPage(this.side === undefined ? message : { side: this.side, message });
    return Promise.resolve();
  }

  end() {}
}
