import { beforeEach, expect, it, vi } from 'vitest';
import { loadBundle, type RunningModel } from '../../../src/engine/loadModel';
import { RunningModels } from '../../../src/engine/runningModels';
import { readBundle, type Bundle } from '../../../src/bundle/manifest';
import { StageClock } from '../../../src/engine/stages';
import { tinyModel } from '../model';
import { until } from '../until';

vi.mock('../../../src/engine/loadModel');
vi.mock('../../../src/bundle/manifest');

const releases = new Map<string, ReturnType<typeof vi.fn>>();
const log: string[] = [];

beforeEach(() => {
  releases.clear();
  log.length = 0;
  vi.mocked(readBundle).mockImplementation((directory) =>
    Promise.resolve({ model: { ...tinyModel, directory } } as Bundle),
  );
  vi.mocked(loadBundle).mockImplementation(({ model }) => {
    const release = vi.fn(() => Promise.resolve());
    releases.set(model.directory, release);
    return Promise.resolve({ tatok: { release } } as unknown as RunningModel);
  });
});

function models() {
  const running = new RunningModels({ log: (line) => log.push(line) }, () => Promise.resolve());
  const use = async (directory: string) => {
    const choice = { directory, providers: ['cpu'] };
    return running.use(await running.bundle(choice), choice, new StageClock(undefined));
  };
  return { running, use };
}

it('keeps two models, and loads neither again', async () => {
  const { running, use } = models();
  for (const directory of ['/a', '/b', '/a', '/b']) running.leave(await use(directory));
  expect(loadBundle).toHaveBeenCalledTimes(2);
  for (const release of releases.values()) expect(release).not.toHaveBeenCalled();
});

it('releases a model that is no longer kept once its last user leaves', async () => {
  const { running, use } = models();
  const [a] = [await use('/a'), await use('/a')];
  for (const directory of ['/b', '/c']) running.leave(await use(directory));
  expect(releases.get('/a')).not.toHaveBeenCalled();
  running.leave(a);
  expect(releases.get('/a')).not.toHaveBeenCalled();
  running.leave(a);
  expect(releases.get('/a')).toHaveBeenCalledOnce();
  running.leave(await use('/d'));
  expect(releases.get('/b')).toHaveBeenCalledOnce();
  expect(releases.get('/c')).not.toHaveBeenCalled();
});

it('says that a model could not be released, and goes on', async () => {
  const { running, use } = models();
  running.leave(await use('/a'));
  releases.get('/a')?.mockRejectedValue(new Error('lost device'));
  for (const directory of ['/b', '/c']) running.leave(await use(directory));
  await until(() => log.length > 0);
  expect(log).toEqual(['A model could not be released: Error: lost device']);
});
