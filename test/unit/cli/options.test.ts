import { describe, expect, it } from 'vitest';
import { parseOptions, Usage } from '../../../src/cli/options';

function usageOf(...args: string[]): Usage {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof Usage) return error;
    throw error;
  }
  throw new Error('expected bad usage');
}

describe('parseOptions', () => {
  it('leaves settings that are not given to the model', () => {
    expect(parseOptions(['a.png'])).toEqual({
      command: 'images',
      images: ['a.png'],
      settings: {},
      cropMode: 'centre',
      provider: 'auto',
      model: undefined,
      out: undefined,
      json: false,
      timeLimit: 600,
    });
  });

  it('reads every option, in any place', () => {
    const args =
      'a.png --loss-rate 0.25 --edge-priority=2 b.png --crop tiles --budget reference --ranking sequential --rounds 16 --provider cpu --model m --out o --time-limit 30 --json';
    expect(parseOptions(args.split(' '))).toEqual({
      command: 'images',
      images: ['a.png', 'b.png'],
      settings: { lossRate: 0.25, edgePriority: 2, budget: 'reference', ranking: 'sequential', rankingRounds: 16 },
      cropMode: 'tiles',
      provider: 'cpu',
      model: 'm',
      out: 'o',
      json: true,
      timeLimit: 30,
    });
  });

  it('reads the ranking by its earlier name and values', () => {
    expect(parseOptions(['a.png', '--conditioning', 'global'])).toMatchObject({ settings: { ranking: 'entropy' } });
    expect(parseOptions(['a.png', '--conditioning=distortion'])).toMatchObject({ settings: { ranking: 'distortion' } });
    expect(usageOf('a.png', '--conditioning', 'global', '--ranking', 'entropy').exitStatus).toBe(2);
    expect(usageOf('a.png', '--ranking', 'global').exitStatus).toBe(2);
  });

  it('takes what follows -- as images', () => {
    expect(parseOptions(['--json', '--', '--out', '-x'])).toMatchObject({ images: ['--out', '-x'] });
  });

  it('reads the options of data sets, which images by themselves do not have', () => {
    const args = 'in x.tar --dataset o.tokens --shard-size 8 --workers 2 --entropies --quality --ranking entropy';
    expect(parseOptions(args.split(' '))).toEqual({
      command: 'dataset',
      inputs: ['in', 'x.tar'],
      dataset: 'o.tokens',
      shardSize: 8,
      workers: 2,
      entropies: true,
      quality: true,
      settings: { ranking: 'entropy' },
      provider: 'auto',
      model: undefined,
      timeLimit: 600,
    });
    for (const option of ['--quality', '--entropies', '--workers=2', '--shard-size=2']) {
      expect(usageOf('a.png', option).message).toMatch(/are options of --dataset\.$/);
    }
    expect(usageOf('in', '--dataset', 'o', '--crop', 'tiles').message).toMatch(/takes the centre crop alone/);
    expect(usageOf('in', '--dataset', 'o', '--json').message).toMatch(/cannot be used with/);
    expect(usageOf('in', '--dataset', 'o', '--workers', '0').exitStatus).toBe(2);
  });

  it('reads commands with options of their own', () => {
    const common = { provider: 'cpu', model: 'm', timeLimit: 9 };
    const given = '--provider cpu --model m --time-limit 9'.split(' ');
    expect(parseOptions(['decode', 'o.tokens', '--out', 'd', '--where', 'psnr < 18', ...given])).toEqual({
      command: 'decode',
      tokens: 'o.tokens',
      out: 'd',
      where: 'psnr < 18',
      ...common,
    });
    expect(parseOptions(['verify', 'o.tokens', 'in', '--sample', '3', ...given])).toEqual({
      command: 'verify',
      dataset: 'o.tokens',
      inputs: ['in'],
      sample: 3,
      ...common,
    });
    expect(parseOptions(['budget', 'o.tokens', '--tokens', '56.5', '--json', ...given])).toEqual({
      command: 'budget',
      dataset: 'o.tokens',
      tokens: 56.5,
      json: true,
      ...common,
    });
    expect(usageOf('budget', 'o.tokens', '--tokens', '0').message).toMatch(/It must be above 0\.$/);
    expect(usageOf('decode', 'o.tokens').message).toBe("tatok: required option '--out <DIR>' not specified");
    expect(usageOf('decode', '--help')).toMatchObject({ exitStatus: 0 });
    expect(usageOf('decode', '--help').message).toContain('--where <CONDITION>');
    // The same file by a path is an image.
    expect(parseOptions(['./decode'])).toMatchObject({ command: 'images', images: ['./decode'] });
  });

  it('offers every setting of the filter, and holds values to the limits of the settings', () => {
    const help = usageOf('--help').message.replace(/\s+/g, ' ');
    for (const option of ['--loss-rate <E>', '--edge-priority <B>', '--budget <KIND>', '--ranking <CRITERION>']) {
      expect(help).toContain(option);
    }
    expect(help).toContain('(choices: "centre", "fit", "tiles", default: "centre")');
    expect(usageOf('a.png', '--loss-rate', '1.5').message).toMatch(/It must be 0 to 1\.$/);
    expect(usageOf('a.png', '--edge-priority', '-1').message).toMatch(/It must be at least 0\.$/);
    expect(usageOf('a.png', '--time-limit', '0').message).toMatch(/It must be above 0\.$/);
    expect(usageOf('a.png', '--crop', 'round').message).toMatch(/Allowed choices are centre, fit, tiles\.$/);
  });

  it('tells help from bad usage', () => {
    expect(usageOf('--help')).toMatchObject({ exitStatus: 0 });
    expect(usageOf('--help').message).toContain('--loss-rate <E>');
    expect(usageOf()).toMatchObject({ exitStatus: 2, message: "tatok: missing required argument 'image'" });
    expect(usageOf('a.png', '--loss-rate', ' ').exitStatus).toBe(2);
    expect(usageOf('a.png', '--time-limit', '0').exitStatus).toBe(2);
    for (const rounds of ['0', '65', '2.5']) {
      expect(usageOf('a.png', '--rounds', rounds).message).toContain('It must be a whole number, 1 to 64.');
    }
    expect(usageOf('a.png', '--colour')).toMatchObject({ message: "tatok: unknown option '--colour'" });
  });
});
