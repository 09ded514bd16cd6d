/** What the page asks of the extension host, and what it is told. */
import { signal } from '@preact/signals';
import { LRUCache } from 'lru-cache';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { CancellationTokenSource, ResponseError, type MessageConnection } from 'vscode-jsonrpc/browser';
import type { DatasetExporter } from './datasetExporter';
import type { DatasetView } from './datasetView';
import type { Budget } from '../../src/method/types';
import * as protocol from '../../src/protocol/dataset';
import { runAction, type Failure, type FailureAction } from '../../src/protocol/document';

/** Pictures that the page holds: more than any screen has rows. */
const keptThumbnails = 400;

export class DatasetSession {
  /** A failure of what was asked for last, which leaves all else as it is. */
  readonly notice = signal<Failure | undefined>(undefined);
  readonly curves = signal<protocol.SampledCurves>({ wanted: 0, curves: [] });
  readonly measuring = signal(false);
  readonly budgets = signal<protocol.CollectionBudgets | undefined>(undefined);
  /** One sentence on what was written. */
  readonly confirmation = signal('');
  private measurement: CancellationTokenSource | undefined;
  private readonly thumbnails = new LRUCache<number, string>({
    max: keptThumbnails,
    dispose: (address) => URL.revokeObjectURL(address),
  });

  constructor(
    view: DatasetView,
    private readonly connection: MessageConnection,
  ) {
    connection.onNotification(protocol.stateChanged, (state) => void (view.state.value = state));
    connection.onNotification(protocol.rowsMade, ({ rows }) => view.add(rows));
    connection.onNotification(protocol.rowsLost, ({ first, end }) => view.remove(first, end));
    connection.onNotification(protocol.curveMeasured, (curves) => void (this.curves.value = curves));
    connection.listen();
    void this.attempt('The data set cannot be shown', async () => {
      view.document.value = await connection.sendRequest(protocol.ready);
    });
  }

  resume(): void {
    this.notify(protocol.resume.method);
  }

  cancel(): void {
    this.notify(protocol.cancel.method);
  }

  /** Opens the inspector on an image. */
  open(index: number): void {
    void this.connection.sendNotification(protocol.openImage, index);
  }

  runAction(action: FailureAction): void {
    void this.connection.sendNotification(runAction, action);
  }

  /** Address of a picture of what the model saw; undefined where there is none. @param signal gives it up. */
  async thumbnail(index: number, signal: AbortSignal): Promise<string | undefined> {
    const kept = this.thumbnails.get(index);
    if (kept !== undefined) return kept;
    const source = new CancellationTokenSource();
    signal.addEventListener('abort', () => source.cancel(), { once: true });
    try {
      const jpeg = await this.connection.sendRequest(protocol.thumbnail, index, source.token);
      if (jpeg === null) return undefined;
      const address = URL.createObjectURL(new Blob([new Uint8Array(jpeg)], { type: 'image/jpeg' }));
      this.thumbnails.set(index, address);
      return address;
    } catch {
      // The row has its place without a picture.
      return undefined;
    } finally {
      source.dispose();
    }
  }

  async measureCurves(): Promise<void> {
    const source = (this.measurement = new CancellationTokenSource());
    this.measuring.value = true;
    await this.attempt('The curves could not be measured', async () => {
      this.curves.value = await this.connection.sendRequest(protocol.measureCurves, source.token);
    });
    this.measuring.value = false;
  }

  stopMeasuring(): void {
    this.measurement?.cancel();
  }

  async findBudgets(wanted: number): Promise<void> {
    await this.attempt('No budget was found', async () => {
      this.budgets.value = await this.connection.sendRequest(protocol.findBudgets, wanted);
    });
  }

  /** The host asks the user first. */
  async saveBudget(budget: Budget): Promise<void> {
    await this.attempt('The settings could not be written', async () => {
      if (await this.connection.sendRequest(protocol.saveBudget, budget)) this.confirmation.value = 'Settings written';
    });
  }

  /** Tells of a failure where the work is not done. */
  async attempt(failed: string, work: () => Promise<void>): Promise<void> {
    this.notice.value = undefined;
    this.confirmation.value = '';
    try {
      await work();
    } catch (error) {
      const cancelled = error instanceof ResponseError && isCancelled(error.data);
      if (cancelled) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.notice.value = { message: `${failed}: ${reason}`, actions: [] };
    }
  }

  private notify(method: string): void {
    void this.connection.sendNotification(method);
  }
}

function isCancelled(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'code' in data && data.code === 'cancelled';
}

export interface DatasetServices {
  readonly view: DatasetView;
  readonly session: DatasetSession;
  readonly exporter: DatasetExporter;
}

export const DatasetContext = createContext<DatasetServices | undefined>(undefined);

export function useDataset(): DatasetServices {
  const services = useContext(DatasetContext);
  if (services === undefined) throw new Error('no data set provided');
  return services;
}
