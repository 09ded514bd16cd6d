/** One run of a graph for several pictures, each of which goes through the pipeline as if it were alone. */
import type { Codes, DecoderInput, EntropyEstimate, EntropyInput, Graphs } from './graphs';

/** The graphs that a pipeline runs. */
export type PipelineGraphs = Pick<
  Graphs,
  'tokenizesAtOnce' | 'encodeAll' | 'tokenizeAll' | 'estimateEntropies' | 'decodeAll' | 'attend' | 'release'
>;

/** A picture's call of a graph, which waits for the calls of the others. */
interface Waiting {
  readonly count: number;
  readonly queue: Queue<unknown, unknown>;
  readonly inputs: readonly unknown[];
  readonly resolve: (outputs: unknown[]) => void;
  readonly reject: (error: unknown) => void;
}

type Queue<Input, Output> = (inputs: readonly Input[]) => Promise<Output[]>;

/**
 * Graphs of pictures that take the same steps. A call waits until every picture under way has called; then all go through the graph
 * together. Every run has the same number of images, the last one again in places that are left: kernels may round differently
 * for another number, and so a picture's bits depend neither on its neighbours nor on how many there are.
 */
export class GatheredGraphs implements PipelineGraphs {
  private waiting: Waiting[] = [];
  private underWay = 0;

  readonly encodeAll: Queue<Uint8Array, Codes>;
  readonly tokenizeAll: Queue<Uint8Array, Codes & EntropyEstimate>;
  readonly estimateEntropies: Queue<EntropyInput, EntropyEstimate>;
  readonly decodeAll: Queue<DecoderInput, Uint8Array>;

  /** @param size images of every run. */
  constructor(
    private readonly graphs: PipelineGraphs,
    private readonly size: number,
  ) {
    this.encodeAll = this.gathered((batch) => graphs.encodeAll(batch));
    this.tokenizeAll = this.gathered((batch) => graphs.tokenizeAll(batch));
    this.estimateEntropies = this.gathered((batch) => graphs.estimateEntropies(batch));
    this.decodeAll = this.gathered((batch) => graphs.decodeAll(batch));
  }

  get tokenizesAtOnce(): boolean {
    return this.graphs.tokenizesAtOnce;
  }

  attend(rgb: Uint8Array): Promise<Float32Array> {
    return this.graphs.attend(rgb);
  }

  release(): Promise<void> {
    return this.graphs.release();
  }

  /** Does `work` for every picture at once, by a pipeline of these graphs. A picture that fails leaves the others to go on. */
  async forEach<Picture, Result>(
    pictures: readonly Picture[],
    work: (picture: Picture) => Promise<Result>,
  ): Promise<PromiseSettledResult<Result>[]> {
    this.underWay += pictures.length;
    return Promise.allSettled(
      pictures.map(async (picture) => {
        try {
          return await work(picture);
        } finally {
          this.underWay--;
          this.runWhenAllWait();
        }
      }),
    );
  }

  private gathered<Input, Output>(run: Queue<Input, Output>): Queue<Input, Output> {
    const queue: Queue<unknown, unknown> = (inputs) => this.inRuns(inputs as readonly Input[], run);
    return (inputs) =>
      new Promise<Output[]>((resolve, reject) => {
        const waiting = { queue, inputs, count: inputs.length, resolve: resolve as Waiting['resolve'], reject };
        this.waiting.push(waiting);
        this.runWhenAllWait();
      });
  }

  private runWhenAllWait(): void {
    if (this.waiting.length === 0 || this.waiting.length < this.underWay) return;
    const calls = this.waiting;
    this.waiting = [];
    for (const queue of new Set(calls.map((call) => call.queue))) {
      void this.answer(
        queue,
        calls.filter((call) => call.queue === queue),
      );
    }
  }

  private async answer(queue: Waiting['queue'], calls: readonly Waiting[]): Promise<void> {
    try {
      const outputs = await queue(calls.flatMap(({ inputs }) => inputs));
      let first = 0;
      for (const { count, resolve } of calls) resolve(outputs.slice(first, (first += count)));
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }

  private async inRuns<Input, Output>(inputs: readonly Input[], run: Queue<Input, Output>): Promise<Output[]> {
    const outputs: Output[] = [];
    for (let first = 0; first < inputs.length; first += this.size) {
      const batch = inputs.slice(first, first + this.size);
      const [last] = batch.slice(-1);
      const filled = [...batch];
      while (last !== undefined && filled.length < this.size) filled.push(last);
      outputs.push(...(await run(filled)).slice(0, batch.length));
    }
    return outputs;
  }
}
