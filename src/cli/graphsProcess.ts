/** The process that times graphs, watched from outside: native code that hangs can tell nobody. */
import { fork } from 'node:child_process';
import type { GraphsMessage, GraphsToTime, TimedBatch } from './benchGraphs';

export interface WatchOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds that may pass between two messages. */
  readonly stallMs: number;
  /** Told of every batch as soon as it is timed: what came before a failure is not lost. */
  readonly onTimed: (timed: TimedBatch) => void;
}

/**
 * Resolves when all batches are timed. The process is killed then: leaving in good order would destroy its sessions, which takes time and
 * is not what is timed.
 *
 * @throws Error with what the process says or was last doing.
 */
export async function timeGraphsIn(modulePath: string, task: GraphsToTime, options: WatchOptions): Promise<void> {
  const { env, stallMs, onTimed } = options;
  const child = fork(modulePath, [JSON.stringify(task)], { env, serialization: 'advanced' });
  let doing = 'start';
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const watch = () => {
        clearTimeout(timer);
        const seconds = stallMs / 1000;
        timer = setTimeout(() => reject(new Error(`Nothing came for ${seconds} s after: ${doing}.`)), stallMs);
      };
      watch();
      child.on('message', (received) => {
        watch();
        const message = received as GraphsMessage;
        if (message.kind === 'doing') doing = message.what;
        else if (message.kind === 'timed') onTimed(message.timed);
        else if (message.kind === 'failed') reject(new Error(message.reason));
        else resolve();
      });
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`The process ended with ${signal ?? `exit status ${code ?? 'unknown'}`} after: ${doing}.`)),
      );
    });
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
  }
}
