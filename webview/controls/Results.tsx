import type { ComponentChildren, JSX } from 'preact';
import { Announcement } from './PatchCard';
import { useServices } from '../state/context';
import type { Inspector } from '../state/inspector';
import { Badge } from '../ui/toolkit';
import type { DecodedPicture } from '../../src/protocol/engineMessages';
import { bitsPerPixel, bitsPerPixelText, bytesOf } from '../../src/method/anchors';
import { describeParts, hasEveryPart } from '../../src/method/parts';
import { costOf, estimatedGrid } from '../../src/method/streams';
import { noSsim, psnrText, ssimText } from '../../src/method/quality';

const unknown = '–';

/** ε has settled when its results stand for so long. */
const settledMs = 500;

/** The results in one sentence, once they are those of the settings shown. */
function said({ stale, selected, reconstruction }: Inspector): string {
  if (stale.value || selected.value === undefined || reconstruction.value === undefined) return '';
  const { psnr } = reconstruction.value;
  return `${selected.value.totalTokens} tokens, PSNR ${psnr === null ? 'infinite' : `${psnrText(psnr, 1)} dB`}`;
}

/** Results in large figures: tokens, bits per pixel and bytes of the kept set, PSNR and SSIM of its reconstruction. */
export function Results(): JSX.Element | null {
  const { inspector } = useServices();
  const picture = inspector.picture.value;
  if (picture === undefined) return null;
  const { model, image } = picture;
  const several = image.tiles.rows * image.tiles.columns > 1;
  return (
    <section class="panel results" aria-labelledby="results-title">
      <h2 id="results-title" class="visually-hidden">
        Results
      </h2>
      {!hasEveryPart(model) && (
        <p class="muted" data-testid="kind">
          {describeParts(model, several ? 'tile' : 'image')}
        </p>
      )}
      <dl class="result-cards">
        <Rate {...picture} />
        <Quality />
      </dl>
      <Announcement testId="results-said" afterMs={settledMs} text={said(inspector)} />
    </section>
  );
}

interface ResultProps {
  readonly name: string;
  readonly figure: ComponentChildren;
  /** What the figure is made of. */
  readonly note?: ComponentChildren;
  readonly title?: string | undefined;
  readonly stale?: boolean;
  readonly badge?: boolean;
}

/** One result: a large figure, its name and a note. */
export function Result({ name, figure, note, title, stale = false, badge = false }: ResultProps): JSX.Element {
  return (
    <div class={stale ? 'result stale' : 'result'} title={title} data-stale={stale}>
      <dt>
        {name} {badge && <Stale />}
      </dt>
      <dd>
        <strong class="figure">{figure}</strong>
        {note !== undefined && <span class="note">{note}</span>}
      </dd>
    </div>
  );
}

/** Tokens, bits per pixel and bytes, by the kinds of token that the model has. */
function Rate({ model, image }: Pick<DecodedPicture, 'model' | 'image'>): JSX.Element {
  const { inspector } = useServices();
  const selected = inspector.selected.value;
  const stale = inspector.awaitsRanking.value;
  const total = <span data-testid="total-tokens">{selected?.totalTokens ?? unknown}</span>;
  const bytes = selected === undefined ? unknown : bytesOf(selected).toLocaleString('en');
  return (
    <>
      <Result
        name="tokens"
        stale={stale}
        badge={stale}
        figure={total}
        note={model.filters ? <Kept model={model} image={image} /> : 'every one is kept'}
      />
      <Result
        name="bits per pixel"
        stale={stale}
        title={model.filters ? 'Payload of the tokens and mask of the kept patches' : 'Payload of the tokens'}
        figure={
          <span data-testid="bits-per-pixel">
            {selected === undefined ? unknown : bitsPerPixelText(bitsPerPixel(selected, image))}
          </span>
        }
        note={
          <>
            <span data-testid="bytes">{bytes}</span> bytes
            <br />
            <span data-testid="bits">
              {selected === undefined
                ? unknown
                : model.filters
                  ? `${selected.payloadBits.toFixed(0)} + ${selected.maskBits.toFixed(0)} bits`
                  : `${selected.payloadBits.toFixed(0)} bits`}
            </span>
          </>
        }
      />
    </>
  );
}

function Kept({ model, image }: Pick<DecodedPicture, 'model' | 'image'>): JSX.Element {
  const { inspector } = useServices();
  const selected = inspector.selected.value;
  const { rows, columns } = estimatedGrid(model, image);
  const tokensWith = (keptTokens: number) => costOf(model, image.tiles, { keptTokens, length: 1 }).totalTokens;
  const [others, all] = [tokensWith(0), tokensWith(rows * columns)];
  return (
    <>
      <span data-testid="kept-count">{selected?.keptTokens ?? unknown}</span> kept
      {others > 0 && ` + ${others} ${model.globalTokens > 0 && model.patchTokens > 0 ? 'global' : 'others'}`}
      <br />
      {selected === undefined ? unknown : `${(all / selected.totalTokens).toFixed(1)}× fewer than ${all}`}
    </>
  );
}

function Quality(): JSX.Element {
  const { inspector } = useServices();
  const reconstruction = inspector.reconstruction.value;
  const stale = inspector.stale.value;
  // Nothing is measured without an original.
  if (!inspector.hasOriginal.value) return <></>;
  return (
    <>
      <Result
        name="PSNR"
        title="Peak signal-to-noise ratio over all pixels and channels"
        stale={stale}
        badge={stale && !inspector.awaitsRanking.value}
        figure={
          <>
            <span data-testid="psnr">{reconstruction === undefined ? unknown : psnrText(reconstruction.psnr, 1)}</span>
            <small> dB</small>
          </>
        }
      />
      <Result
        name="SSIM"
        stale={stale}
        title="Mean structural similarity of the luma"
        figure={
          <span data-testid="ssim" title={reconstruction?.ssim === null ? noSsim : undefined}>
            {reconstruction === undefined ? unknown : ssimText(reconstruction.ssim, 2)}
          </span>
        }
      />
    </>
  );
}

function Stale(): JSX.Element {
  const { inspector } = useServices();
  const former = inspector.reconstruction.value !== undefined;
  return (
    <Badge
      testId="stale"
      title={
        former ? 'Of the former settings, until the new reconstruction arrives' : 'To come with the reconstruction'
      }
    >
      {former ? 'stale' : 'pending'}
    </Badge>
  );
}
