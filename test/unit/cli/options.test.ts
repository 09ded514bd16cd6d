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
    expect(parseOptions(['a.png', '--conditioning', 'global']).settings).toEqual({ ranking: 'entropy' });
    expect(parseOptions(['a.png', '--conditioning=distortion']).settings).toEqual({ ranking: 'distortion' });
    expect(usageOf('a.png', '--conditioning', 'global', '--ranking', 'entropy').exitStatus).toBe(2);
    expect(usageOf('a.png', '--ranking', 'global').exitStatus).toBe(2);
  });

  it('takes what follows -- as images', () => {
    expect(parseOptions(['--json', '--', '--out', '-x']).images).toEqual(['--out', '-x']);
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
