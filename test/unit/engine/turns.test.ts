import { describe, expect, it } from 'vitest';
import { Turns, type Urgency } from '../../../src/engine/requests';

describe('Turns', () => {
  /** Runs requests of some batches each, all asked for at once; the batches in the order in which they ran. */
  async function run(...requests: readonly (readonly [name: string, urgency: Urgency, batches: number])[]) {
    const turns = new Turns();
    const ran: string[] = [];
    await Promise.all(
      requests.map(async ([name, urgency, batches]) => {
        await turns.take(urgency);
        for (let batch = 0; batch < batches; batch++) {
          if (urgency === 'long') await turns.letIn();
          ran.push(name);
          await Promise.resolve();
        }
        turns.give();
      }),
    );
    return ran.join('');
  }

  it('go in the order of asking', async () => {
    expect(await run(['a', 'soon', 2], ['b', 'soon', 2], ['c', 'soon', 1])).toBe('aabbc');
    expect(await run(['a', 'long', 2], ['b', 'long', 2])).toBe('aabb');
  });

  it('let short requests in between the batches of a long one, which goes on before other long ones', async () => {
    expect(await run(['L', 'long', 3], ['M', 'long', 1], ['a', 'soon', 2], ['b', 'soon', 1])).toBe('aabLLLM');
  });

  it('can be taken again after all were given back', async () => {
    const turns = new Turns();
    await turns.take('long');
    turns.give();
    await turns.take('soon');
    const waiting = turns.take('long').then(() => 'taken');
    expect(await Promise.race([waiting, Promise.resolve('waiting')])).toBe('waiting');
    turns.give();
    expect(await waiting).toBe('taken');
  });
});
