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

/** A webview's two message channels; pages come and go behind it, as in VS Code. */
export class FakeWebview {
  private readonly listeners = new Set<(message: unknown) => void>();
  private page: DataCallback | undefined;
  sent = 0;

  onDidReceiveMessage = (listener: (message: unknown) => void) => {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  };

  postMessage = async (message: Message) => {
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

  show(page: DataCallback): void {
    this.page = page;
  }
}

class PageReader extends AbstractMessageReader {
  constructor(private readonly webview: FakeWebview) {
    super();
  }

  listen(callback: DataCallback) {
    this.webview.show(callback);
    return { dispose: () => undefined };
  }
}

class PageWriter extends AbstractMessageWriter {
  constructor(private readonly webview: FakeWebview) {
    super();
  }

  write(message: Message) {
    this.webview.fromPage(message);
    return Promise.resolve();
  }

  end() {}
}
