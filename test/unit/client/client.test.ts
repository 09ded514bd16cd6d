import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CancellationToken, CancellationTokenSource } from 'vscode-jsonrpc/node';
import { InferenceClient, type InferenceClientOptions } from '../../../src/client/client';
import type { Progress } from '../../../src/protocol/analyses';
import type { LoadedChoice } from '../../../src/protocol/engineMessages';
import type { Stage } from '../../../src/method/types';
import { refusalOf } from '../refusal';
import { until } from '../until';

const choice = { directory: '/models/tiny', providers: ['cpu'] };
const settings = { lossRate: 0.5, edgePriority: 0, budget: 'image', ranking: 'entropy' } as const;
const modulePath = join(import.meta.dirname, 'fakeProcess.mjs');

let folder: string;
let log: string[];
const clients: InferenceClient[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tatok-client-'));
  log = [];
});

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(clients.splice(0).map((client) => client.dispose()));
  await rm(folder, { recursive: true });
});

function client(behaviour = '', options: Partial<InferenceClientOptions> = {}): InferenceClient {
  const created = new InferenceClient({
    modulePath,
    env: { FAKE_BEHAVIOUR: behaviour, FAKE_FOLDER: folder },
    log: (line) => log.push(line),
    ...options,
  });
  clients.push(created);
  return created;
}

/** Time passes for this process alone: the other one starts and answers as fast as it can. */
function fakeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
}

const lives = async () => (await readdir(folder)).length;

describe('InferenceClient', () => {
  it('starts the process with the first request, as a Node, and keeps it', async () => {
    const inference = client();
    expect(await lives()).toBe(0);
    const first = await inference.loadModel(choice);
    const second = await inference.loadModel(choice);
    expect([first.model.name, second.model.name, first.model.version]).toEqual(['life 1', 'life 1', '1']);
    expect(log).toContain('loading /models/tiny');
  });

  it('starts it without the options of Node that its own process was started with', async () => {
    // A process that took this over could not start.
    vi.stubEnv('NODE_OPTIONS', `--require=${join(folder, 'absent.cjs')}`);
    try {
      expect((await client().loadModel(choice)).model.name).toBe('life 1');
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('tells of a model that was loaded before the request is answered', async () => {
    const told: LoadedChoice[] = [];
    const answer = await client('', { onLoaded: (loaded) => told.push(loaded) }).loadModel(choice);
    expect(told).toEqual([{ choice, ...answer }]);
  });

  it('starts one process for requests made at once', async () => {
    const inference = client();
    await Promise.all([inference.loadModel(choice), inference.loadModel(choice), inference.loadModel(choice)]);
    expect(await lives()).toBe(1);
  });

  it('carries typed arrays as they are, and tells the progress of each request to its own listener', async () => {
    const inference = client();
    const stages: Stage[] = [];
    const file = new Uint8Array(Uint8Array.of(9, 1, 2, 3, 9).buffer, 1, 3);
    const onProgress = ({ stage }: Progress) => stages.push(stage);
    const { image, tokens, analyses } = await inference.open({ choice, file, settings: {} }, { onProgress });
    expect(image).toMatchObject({ rgb: Uint8Array.of(1, 2, 3), format: 'Uint8Array' });
    expect(tokens.entropyBits).toEqual(Float32Array.of(0.5, 1.5));
    expect(stages).toEqual(['read', 'encode']);
    await analyses.rank(settings);
    expect(stages).toEqual(['read', 'encode']);
    await analyses.rank(settings, { onProgress });
    expect(stages).toEqual(['read', 'encode', 'rank']);
  });

  describe('with a picture open', () => {
    const open = (inference: InferenceClient) =>
      inference.open({ choice, file: Uint8Array.of(1), settings: {} }, { token: CancellationToken.None });

    it('asks by its number, and sends neither picture nor tokens again', async () => {
      const { ask } = await open(client());
      expect(await ask({ name: 'anything', params: 7 }, {})).toMatchObject({ codes: Int32Array.of(1), params: 7 });
      expect(log).toEqual(['analysis anything']);
    });

    it('opens it in the process that follows a crash, with the same tokens', async () => {
      const inference = client('crash-in-analysis');
      const { ask } = await open(inference);
      const answers = await Promise.all([1, 2].map((params) => ask({ name: 'relayed', params }, {})));
      // The codes of the first life.
      expect(answers).toEqual([1, 2].map((params) => ({ codes: Int32Array.of(1), life: 2, params })));
      expect(log.filter((line) => line.startsWith('reopen'))).toEqual([
        'reopen 1 crop,cropMode,format,grid,height,reduction,sourceHeight,sourceWidth,tiles,width',
      ]);
      await inference.stop();
      expect(await ask({ name: 'relayed', params: 3 }, {})).toMatchObject({ codes: Int32Array.of(1), life: 3 });
    });

    it('stays alive until it is closed, which rejects what is asked of it', async () => {
      fakeTimers();
      const inference = client('', { idleMs: 3000 });
      const picture = await open(inference);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await picture.ask({ name: 'relayed', params: 0 }, {})).toMatchObject({ life: 1 });
      const endless = refusalOf(() => picture.ask({ name: 'endless', params: 0 }, {}));
      await until(() => log.includes('analysis endless'));
      picture.close();
      picture.close();
      expect((await endless).code).toBe('cancelled');
      await until(() => log.includes('close 1'));
      expect(log.filter((line) => line.startsWith('close'))).toEqual(['close 1']);
      expect((await refusalOf(() => picture.ask({ name: 'relayed', params: 0 }, {}))).code).toBe('cancelled');
      await vi.advanceTimersByTimeAsync(3000);
      expect((await inference.loadModel(choice)).model.name).toBe('life 2');
    });
  });

  it('does not send a request that was cancelled while the process was started for it', async () => {
    const inference = client();
    const source = new CancellationTokenSource();
    const endless = { choice: { ...choice, directory: '/models/endless' }, file: Uint8Array.of(1), settings: {} };
    const cancelled = refusalOf(() => inference.open(endless, { token: source.token }));
    source.cancel();
    expect((await cancelled).code).toBe('cancelled');
    expect((await inference.loadModel(choice)).model.name).toBe('life 1');
  });

  it('repeats a request once after a crash', async () => {
    const { model } = await client('crash-once').loadModel(choice);
    expect(model.name).toBe('life 2');
    expect(log).toContain('The inference process ended: signal SIGKILL.');
  });

  it.each([
    ['crash', 'signal SIGKILL'],
    ['exit', 'exit status 3'],
  ])(
    'gives up when the second try ends with %s too, and starts afresh for the next request',
    async (behaviour, how) => {
      const inference = client(behaviour);
      const error = await refusalOf(() => inference.loadModel(choice));
      expect(error.code).toBe('inference-crashed');
      expect(error.message).toBe(`The inference process crashed twice on this request (${how}).`);
      expect(await lives()).toBe(2);
      await refusalOf(() => inference.loadModel(choice));
      expect(await lives()).toBe(4);
    },
  );

  it('replaces a process whose provider failed without waiting for it, and rules the provider out in the next', async () => {
    const inference = client('lose-device');
    const failures = [{ provider: 'cuda', reason: 'CUDA failure 2: out of memory.' }];
    const answer = await inference.loadModel(choice);
    expect(answer).toMatchObject({ model: { name: 'life 2' }, provider: { failures } });
    expect((await inference.loadModel(choice)).model.name).toBe('life 2');
    expect(await lives()).toBe(2);
  });

  it('repeats the other requests of a replaced process', async () => {
    const inference = client('lose-device');
    const answers = await Promise.all([inference.loadModel(choice), inference.loadModel(choice)]);
    expect(answers.map(({ model }) => model.name)).toEqual(['life 2', 'life 2']);
  });

  it('tries a provider that failed again after it was stopped', async () => {
    const inference = client('lose-device');
    await inference.loadModel(choice);
    await inference.stop();
    expect((await inference.loadModel(choice)).model.name).toBe('life 4');
  });

  it.each([
    ['running', 3, 'It crashed twice in a row while running (signal SIGSEGV).'],
    ['opening', 2, 'It crashed while it opened the model (signal SIGSEGV).'],
  ])(
    'does without a provider that crashed the process when %s, and answers from life %i',
    async (when, life, reason) => {
      const inference = client(`provider-crashes ${when}`);
      const anyProvider = { ...choice, providers: ['cuda', 'cpu'] };
      // All that were under way are answered.
      const answers = await Promise.all([inference.loadModel(anyProvider), inference.loadModel(anyProvider)]);
      for (const answer of answers) {
        expect(answer).toMatchObject({
          model: { name: `life ${life}` },
          provider: { failures: [{ provider: 'cuda', reason }] },
        });
      }
      expect(log.filter((line) => line.startsWith('cuda'))).toEqual([`cuda is no longer used: ${reason}`]);
      expect((await inference.loadModel(anyProvider)).model.name).toBe(`life ${life}`);
    },
  );

  it('goes through all providers that crash, and ends in one sentence where the CPU crashes too', async () => {
    const providers = ['cuda', 'webgpu', 'cpu'];
    const { provider } = await client('provider-crashes opening').loadModel({ ...choice, providers });
    expect(provider.failures.map((failure) => failure.provider)).toEqual(['cuda', 'webgpu']);
    const before = await lives();
    const error = await refusalOf(() => client('provider-crashes every opening').loadModel({ ...choice, providers }));
    expect(error.message).toBe('The inference process crashed twice on this request (signal SIGSEGV).');
    expect((await lives()) - before).toBe(4);
  });

  it('gives up where no other provider may be used', async () => {
    const providers = ['cuda'];
    const error = await refusalOf(() => client('provider-crashes running').loadModel({ ...choice, providers }));
    expect(error.code).toBe('inference-crashed');
    expect(await lives()).toBe(2);
  });

  it('says so when the process cannot be started at all', async () => {
    const error = await refusalOf(() => client('', { execPath: '/nowhere/node' }).loadModel(choice));
    expect(error.code).toBe('inference-crashed');
    expect(error.message).toContain('ENOENT');
  });

  it('passes on what the other side refuses with, code and advice', async () => {
    const error = await refusalOf(() => client('refuse').loadModel(choice));
    expect(error).toMatchObject({ code: 'model-invalid', message: 'The file is bad.', advice: 'Try another.' });
    const strange = await refusalOf(() => client('strange').loadModel(choice));
    expect(strange.code).toBe('inference-failed');
  });

  it('refuses a wrong answer of the process, and passes on no message that is not allowed', async () => {
    const error = await refusalOf(() => client('wrong-answer').loadModel(choice));
    expect(error).toMatchObject({
      code: 'bad-message',
      message: expect.stringMatching(
        /^The inference process gave a wrong answer to model\/load: model\.grid\.rows: /,
      ) as string,
    });
    expect(log).toContainEqual(
      expect.stringMatching(
        /^The inference process sent a message that is not allowed, and it is ignored: progress: id: /,
      ),
    );
  });

  it('refuses a wrong answer to an analysis, which would reach a page that trusts it', async () => {
    const inference = client('wrong-analysis');
    const { analyses } = await inference.open({ choice, file: Uint8Array.of(1), settings: {} });
    const error = await refusalOf(() => analyses.rank(settings));
    expect(error).toMatchObject({
      code: 'bad-message',
      message: 'The inference process gave a wrong answer to rank: the bits are not those of the order.',
    });
  });

  it('cancels at once, even while the process is stuck, and can then be stopped', async () => {
    const inference = client('hang');
    const source = new CancellationTokenSource();
    const request = refusalOf(() => inference.loadModel(choice, source.token));
    await until(() => log.includes('loading /models/tiny'));
    source.cancel();
    expect((await request).code).toBe('cancelled');
    await inference.stop();
    expect(log.join('\n')).not.toContain('ended');
  });

  it('frees everyone from a cancelled request that never ends: what waits behind it is answered by the next process', async () => {
    const inference = client();
    const source = new CancellationTokenSource();
    const endless = { choice: { ...choice, directory: '/models/endless' }, file: new Uint8Array(), settings: {} };
    const stuck = refusalOf(() => inference.open(endless, { token: source.token, onProgress: () => source.cancel() }));
    const behind = inference.loadModel(choice);
    expect((await stuck).code).toBe('cancelled');
    expect((await behind).model.name).toBe('life 2');
    expect((await inference.loadModel(choice)).model.name).toBe('life 2');
    expect(log.join('\n')).toContain('The step “encode” of a cancelled request did not end');
  });

  it('ends a request whose step takes longer than the limit, and repeats what waits behind it', async () => {
    // No limit while processes start, however slow the machine is.
    let limit: number | undefined;
    const inference = client('', { stepLimitMs: () => limit });
    const endless = { choice: { ...choice, directory: '/models/endless' }, file: new Uint8Array(), settings: {} };
    const stuck = refusalOf(() => inference.open(endless, { onProgress: () => (limit = 20) }));
    const behind = inference.loadModel(choice);
    const error = await stuck;
    limit = undefined;
    expect([error.code, error.message]).toEqual([
      'time-limit',
      'The step “encode” took longer than 0.02 seconds, so the inference process was replaced.',
    ]);
    expect(error.advice).toContain('tatok.timeLimit');
    expect((await behind).model.name).toBe('life 2');
    expect(await lives()).toBe(2);
  });

  it('does not even start a process for a request that is cancelled already', async () => {
    const source = new CancellationTokenSource();
    source.cancel();
    expect((await refusalOf(() => client().loadModel(choice, source.token))).code).toBe('cancelled');
    expect(await lives()).toBe(0);
  });

  it('ends a while after its last lease, and not before', async () => {
    fakeTimers();
    const inference = client('', { idleMs: 3000 });
    const [one, two] = [inference.acquire(), inference.acquire()];
    await inference.loadModel(choice);
    one.dispose();
    one.dispose();
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await inference.loadModel(choice)).model.name).toBe('life 1');
    two.dispose();
    await vi.advanceTimersByTimeAsync(2900);
    expect((await inference.loadModel(choice)).model.name).toBe('life 1');
    await vi.advanceTimersByTimeAsync(3000);
    expect((await inference.loadModel(choice)).model.name).toBe('life 2');
  });

  it('repeats what was under way when it is stopped, and starts nothing once disposed', async () => {
    const inference = client('hang');
    const request = refusalOf(() => inference.loadModel(choice));
    await until(() => log.length === 1);
    await inference.stop();
    await until(async () => (await lives()) === 2);
    await inference.dispose();
    expect((await request).code).toBe('cancelled');
    expect((await refusalOf(() => inference.loadModel(choice))).code).toBe('cancelled');
    expect(await lives()).toBe(2);
  });
});
