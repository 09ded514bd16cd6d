import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Help } from '../ui/ownControls';
import type { RankingCriterion } from '../../src/method/types';

/** Words of the method that the page explains where it uses them. */
export type Term = keyof typeof names;

const names = {
  lossRate: 'the information loss rate ε',
  edgePriority: 'the edge priority β',
  budget: 'the budget',
  ranking: 'the ranking',
  priority: 'priority',
  entropy: 'conditional entropy',
  surprisal: 'surprisal',
  kept: 'kept and dropped patches',
  attention: 'attention',
  influence: 'influence',
  rateDistortion: 'rate and distortion',
  curve: 'the cumulative curve',
  histogram: 'the histogram',
} as const;

/** The rule that sorts patches. */
export const rankingRules: Record<RankingCriterion, string> = {
  entropy: 'Patches are sorted by their conditional entropy ĥ, estimated once from the global tokens alone.',
  sequential:
    'Patches are sorted by their conditional entropy ĥ, estimated anew in every round, given the global tokens and the patches kept already.',
  distortion:
    'Patches are sorted by their conditional entropy ĥ, given the global tokens and the patches kept already, times the squared error that keeping them saves.',
};

/** The same where a token's entropy is that given the other tokens. */
const eliminationRule =
  'Tokens are dropped one after another: the one whose conditional entropy, given the tokens that are left, is least goes first.';

const texts: Record<Exclude<Term, 'ranking'>, readonly string[]> = {
  lossRate: [
    'ε bounds the information that may be lost: patches are dropped, the least important first, as long as the conditional entropies of all dropped patches sum to at most ε times the budget.',
    'ε = 0 keeps every patch. With the budget of this image, ε = 1 drops all of them. The numbers below the slider are tokens that are left.',
  ],
  edgePriority: [
    'β is added to the priority of patches at the edge of the picture, in bits. A greater β keeps the frame of the picture longer. It changes the order of dropping alone: what is lost is counted without it.',
  ],
  budget: [
    'The budget is the total that ε is a share of. “This image” takes the sum of this image’s own conditional entropies: a flat picture and a busy one keep about the same share of patches.',
    '“Reference” takes the mean of many photographs, the same for every image: a flat picture then takes fewer tokens than a busy one.',
  ],
  priority: ['The filter drops patches by ascending priority. It is what decides; the other maps tell why.'],
  entropy: [
    'The conditional entropy ĥ of a patch is the number of bits that its code is expected to take, given the global tokens.',
  ],
  surprisal: [
    'The surprisal of a patch is the number of bits that its actual code takes, −log₂ q(z | G). Its expectation is the conditional entropy; a decoder can know that only.',
  ],
  kept: [
    'Kept patches are outlined. Dropped ones are dimmed and hatched: the decoder fills them by their expectation.',
  ],
  attention: [
    'The attention of a global token shows where the encoder looked to write it. It does not say what the token changes.',
  ],
  influence: [
    'The influence of a global token is the root-mean-square change of the reconstruction’s pixels when that token is replaced by others. It is measured by decoding, unlike attention.',
  ],
  rateDistortion: [
    'Each point is the reconstruction at one ε: what it costs, and how near it is to the original. A click goes to its ε.',
  ],
  curve: [
    'How many bits the patches that are kept longest hold together. The dashed line is what ε wants held; where the curve crosses it, dropping ends.',
  ],
  histogram: ['How many patches have how many bits, in steps of half a bit, in the colours of the map.'],
};

/** A question mark that explains a word of the method, by the rule in force. */
export function Explanation({ of }: { readonly of: Term }): JSX.Element {
  const { inspector } = useServices();
  const eliminates = inspector.picture.value?.model.givenOthers === true;
  const rule = eliminates ? eliminationRule : rankingRules[inspector.criterion.value];
  const paragraphs = of === 'ranking' ? [] : texts[of];
  return (
    <Help about={names[of]} testId={`about-${of}`}>
      {paragraphs.map((text) => (
        <p key={text}>{text}</p>
      ))}
      {(of === 'ranking' || of === 'priority' || of === 'lossRate') && <p>{rule}</p>}
    </Help>
  );
}
