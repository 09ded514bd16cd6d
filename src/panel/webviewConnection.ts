import {
  AbstractMessageReader,
  AbstractMessageWriter,
  createMessageConnection,
  Message,
  type DataCallback,
  type Logger,
  type MessageConnection,
  type MessageReader,
  type MessageWriter,
} from 'vscode-jsonrpc/node';
import type { LogOutputChannel, Webview } from 'vscode';
import { Disposable } from '../host/disposable';
import { isSideMessage, type Side, type SideMessage } from '../protocol/comparison';
import { examine, type Contract } from '../protocol/contract';
import { ready } from '../protocol/document';
import { fromPage } from '../protocol/schemas';

/** Both ways of a webview's messages. */
export type MessagePort = Pick<Webview, 'postMessage' | 'onDidReceiveMessage'>;

/**
 * JSON-RPC with the pages of one webview. Typed arrays travel as they are.
 *
 * VS Code throws a page away when its tab is hidden or moved and loads it anew when it is shown, under the same webview.
 * Every page counts its requests from the start, so a connection lives as long as one page: `ready`, a page's first
 * request, ends the former connection (late answers to the former page are dropped) and begins a new one.
 */
export class WebviewPages extends Disposable {
  private page: { readonly connection: MessageConnection; readonly reader: PageReader } | undefined;

  /**
   * @param serve registers the handlers of a new page's connection, before it reads its first message.
   * @param contract all that the page may send, `ready` among it.
   */
  constructor(
    private readonly port: MessagePort,
    private readonly logger: Logger,
    private readonly serve: (connection: MessageConnection) => void,
    private readonly contract: Contract = fromPage,
  ) {
    super();
    this.register(port.onDidReceiveMessage((message: unknown) => this.receive(message)));
    this.register({ dispose: () => this.endPage() });
  }

  /** The connection to the page now shown; undefined before the first page is ready. */
  get connection(): MessageConnection | undefined {
    return this.page?.connection;
  }

  /** No handler sees a message that the contract does not allow. */
  private receive(received: unknown): void {
    const verdict = examine(received, this.contract);
    const { message } = verdict;
    if (message === undefined) {
      const { reason, refusal } = verdict;
      this.logger.warn(reason);
      // A page that is gone waits for no answer.
      if (refusal !== undefined) void this.port.postMessage(refusal);
      return;
    }
    if (Message.isRequest(message) && message.method === ready.method) this.beginPage();
    this.page?.reader.accept(message);
  }

  private beginPage(): void {
    this.endPage();
    const reader = new PageReader();
    const connection = createMessageConnection(reader, new PageWriter(this.port), this.logger);
    this.page = { connection, reader };
    this.serve(connection);
    connection.listen();
  }

  private endPage(): void {
    this.page?.connection.dispose();
    this.page = undefined;
  }
}

class PageReader extends AbstractMessageReader implements MessageReader {
  private callback: DataCallback | undefined;

  listen(callback: DataCallback): { dispose(): void } {
    this.callback = callback;
    return { dispose: () => (this.callback = undefined) };
  }

  accept(message: Message): void {
    this.callback?.(message);
  }
}

class PageWriter extends AbstractMessageWriter implements MessageWriter {
  private disposed = false;

  constructor(private readonly port: MessagePort) {
    super();
  }

  /** A hidden page receives nothing and needs nothing: it asks again when it is shown. */
  async write(message: Message): Promise<void> {
    if (!this.disposed) await this.port.postMessage(message);
  }

  end(): void {
    this.disposed = true;
  }

  override dispose(): void {
    this.disposed = true;
    super.dispose();
  }
}

/** One side's own port through a webview that both sides share. */
export function sidePort(webview: MessagePort, side: Side): MessagePort {
  return {
    postMessage: (message: unknown) => webview.postMessage({ side, message } satisfies SideMessage),
    onDidReceiveMessage: (listener, receiver: unknown, disposables) =>
      webview.onDidReceiveMessage(
        (value: unknown) => {
          if (isSideMessage(value)) {
            if (value.side === side) listener.call(receiver, value.message);
          } else if (side === 'a') {
            // To be refused once: it is for neither side.
            listener.call(receiver, undefined);
          }
        },
        undefined,
        disposables,
      ),
  };
}

/** Messages of a connection, in the log of the extension. */
export function rpcLogger(log: LogOutputChannel): Logger {
  return {
    error: (message) => log.error(message),
    warn: (message) => log.warn(message),
    info: (message) => log.info(message),
    log: (message) => log.debug(message),
  };
}
