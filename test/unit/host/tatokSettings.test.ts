import { describe, expect, it } from 'vitest';
import { parseSettings, type SettingsContext } from '../../../src/host/tatokSettings';

const context: SettingsContext = {
  bundledModel: '/extension/models/tatok-s-256',
  home: '/home/ada',
  workspaceFolder: '/data/experiments',
  trusted: true,
};

function parse(values: Record<string, unknown>, where = context) {
  return parseSettings((key) => values[key], where);
}

describe('parseSettings', () => {
  it('leaves everything to the model and the bundled model when nothing is set', () => {
    expect(parse({})).toEqual({
      settings: {
        choice: { directory: '/extension/models/tatok-s-256', providers: ['auto'], cudaDevice: 0 },
        filter: {},
        cropMode: 'centre',
        cudaLibraryPath: undefined,
        maxMegapixels: 100,
        stepLimitMs: 600_000,
      },
      problems: [],
    });
  });

  it('takes whole rounds of a ranking alone', () => {
    expect(parse({ rankingRounds: 16 }).settings.filter).toEqual({ rankingRounds: 16 });
    const { settings, problems } = parse({ rankingRounds: 0.5 });
    expect(settings.filter).toEqual({});
    expect(problems).toEqual([expect.stringContaining('tatok.rankingRounds')]);
  });

  it('keeps zero apart from unset', () => {
    const { settings } = parse({ lossRate: 0, edgePriority: 0, budget: null, ranking: 'sequential' });
    expect(settings.filter).toEqual({ lossRate: 0, edgePriority: 0, ranking: 'sequential' });
  });

  it.each([
    ['/models/mine', '/models/mine'],
    ['~/models/mine', '/home/ada/models/mine'],
    ['bundles/mine', '/data/experiments/bundles/mine'],
    ['  ', '/extension/models/tatok-s-256'],
  ])('reads the model folder %j as %s', (model, directory) => {
    expect(parse({ model }).settings.choice.directory).toBe(directory);
  });

  it('limits memory on the GPU only where that is wanted', () => {
    expect(parse({ 'cuda.memoryLimit': 512 }).settings.choice).toMatchObject({ cudaMemoryLimit: 512 });
    expect(parse({ 'cuda.memoryLimit': null }).settings.choice).not.toHaveProperty('cudaMemoryLimit');
    const { settings, problems } = parse({ 'cuda.memoryLimit': 0 });
    expect(settings.choice).not.toHaveProperty('cudaMemoryLimit');
    expect(problems).toEqual([expect.stringContaining('tatok.cuda.memoryLimit')]);
  });

  it('takes a time limit in seconds, and none where there is none', () => {
    expect(parse({ timeLimit: 1.5 }).settings.stepLimitMs).toBe(1500);
    expect(parse({ timeLimit: null }).settings.stepLimitMs).toBeUndefined();
    const { settings, problems } = parse({ timeLimit: -1 });
    expect(settings.stepLimitMs).toBe(600_000);
    expect(problems).toEqual([expect.stringContaining('tatok.timeLimit')]);
  });

  it('takes no model out of a folder that is not trusted, and says so', () => {
    const restricted = { ...context, trusted: false };
    for (const model of ['bundles/mine', './mine', '../experiments/mine']) {
      const { settings, problems } = parse({ model }, restricted);
      expect(settings.choice.directory).toBe(context.bundledModel);
      expect(problems).toEqual([expect.stringMatching(/^The setting tatok\.model is ignored: .+ not trusted\./)]);
    }
    expect(parse({ model: '~/mine' }, restricted).settings.choice.directory).toBe('/home/ada/mine');
    expect(parse({ model: '/models/mine' }, restricted).problems).toEqual([]);
  });

  it('takes libraries from no folder that is relative to wherever VS Code was started', () => {
    const read = (path: string) => parse({ 'cuda.libraryPath': path });
    expect(read('/opt/cuda').settings.cudaLibraryPath).toBe('/opt/cuda');
    expect(read('~/cuda').settings.cudaLibraryPath).toBe('/home/ada/cuda');
    expect(read(' ')).toMatchObject({ settings: { cudaLibraryPath: undefined }, problems: [] });
    for (const path of ['cuda', './cuda', '.']) {
      const { settings, problems } = read(path);
      expect(settings.cudaLibraryPath).toBeUndefined();
      expect(problems).toEqual([expect.stringMatching(/^The setting tatok\.cuda\.libraryPath is ignored/)]);
    }
  });

  it('starts relative model folders at home where there is no workspace', () => {
    const { settings } = parse({ model: 'mine' }, { ...context, workspaceFolder: undefined });
    expect(settings.choice.directory).toBe('/home/ada/mine');
  });

  it('replaces a value out of range by its default and says which', () => {
    const { settings, problems } = parse({ lossRate: 1.5, providers: [], budget: 'image', maxMegapixels: 'many' });
    expect(settings.filter).toEqual({ budget: 'image' });
    expect(settings.choice.providers).toEqual(['auto']);
    expect(settings.maxMegapixels).toBe(100);
    expect(problems.map((problem) => /tatok\.[\w.]+/.exec(problem)?.[0])).toEqual([
      'tatok.lossRate',
      'tatok.providers',
      'tatok.maxMegapixels',
    ]);
    expect(problems[0]).toBe(
      'The setting tatok.lossRate is ignored: ✖ The information loss rate must be between 0 and 1.',
    );
  });

  it('takes providers that there are, and no others', () => {
    expect(parse({ providers: ['webgpu', 'cpu'] }).settings.choice.providers).toEqual(['webgpu', 'cpu']);
    const { settings, problems } = parse({ providers: ['tensorrt', 'cpu'] });
    expect(settings.choice.providers).toEqual(['auto']);
    expect(problems).toEqual([expect.stringMatching(/^The setting tatok\.providers is ignored: .+"cuda"/)]);
  });
});
