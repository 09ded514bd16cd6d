import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Row } from '../ui/ownControls';
import { Badge } from '../ui/toolkit';
import type { DecodedPicture } from '../../src/protocol/engineMessages';
import { bitsPerPixel, bitsPerPixelText, bytesOf } from '../../src/method/anchors';
import { describeParts, hasEveryPart } from '../../src/method/parts';
import { costOf, estimatedGrid } from '../../src/method/streams';
import { noSsim, psnrText, ssimText } from '../../src/method/quality';

const unknown = '–';

/** Tokens and bits of the kept set, PSNR and SSIM of its reconstruction. */
export function TokenCounts(): JSX.Element | null {
  const { inspector } = useServices();
  const picture = inspector.picture.value;
  if (picture === undefined) return null;
  const { model, image } = picture;
  const several = image.tiles.rows * image.tiles.columns > 1;
  return (
    <section class="panel tokens" aria-labelledby="tokens-title">
      <h2 id="tokens-title">Tokens {inspector.awaitsRanking.value && <Stale />}</h2>
      {!hasEveryPart(model) && (
        <p class="muted" data-testid="kind">
          {describeParts(model, several ? 'tile' : 'image')}
        </p>
      )}
      <dl class={inspector.awaitsRanking.value ? 'rows stale' : 'rows'}>
        <Counts {...picture} />
        <Rate image={image} />
        <Quality />
      </dl>
    </section>
  );
}

/** Tokens and bits, by the kinds of token that the model has. */
function Counts({ model, image }: Pick<DecodedPicture, 'model' | 'image'>): JSX.Element {
  const { inspector } = useServices();
  const selected = inspector.selected.value;
  const total = <span data-testid="total-tokens">{selected?.totalTokens ?? unknown}</span>;
  const bits = selected?.payloadBits.toFixed(0) ?? unknown;
  if (!model.filters) {
    return (
      <>
        <Row name="tokens">
          <strong>{total}</strong>
        </Row>
        <Row name="payload">
          <span data-testid="bits">{bits} bits</span>
        </Row>
      </>
    );
  }
  const { rows, columns } = estimatedGrid(model, image);
  const tokensWith = (keptTokens: number) => costOf(model, image.tiles, { keptTokens, length: 1 }).totalTokens;
  const [others, all] = [tokensWith(0), tokensWith(rows * columns)];
  const kept = <span data-testid="kept-count">{selected?.keptTokens ?? unknown}</span>;
  return (
    <>
      <Row name={others === 0 ? 'kept' : 'kept + global'}>
        <strong>
          {kept}
          {others > 0 && (
            <>
              {' '}
              + {others} = {total}
            </>
          )}
        </strong>
      </Row>
      <Row name={`of ${all}`}>
        {selected === undefined ? unknown : `${(all / selected.totalTokens).toFixed(1)}× fewer`}
      </Row>
      <Row name="payload + mask">
        <span data-testid="bits">
          {selected === undefined ? unknown : `${bits} + ${selected.maskBits.toFixed(0)} bits`}
        </span>
      </Row>
    </>
  );
}

/** The same bits for each pixel, and as bytes of a file. */
function Rate({ image }: Pick<DecodedPicture, 'image'>): JSX.Element {
  const selected = useServices().inspector.selected.value;
  return (
    <Row name="bits per pixel">
      <span data-testid="rate-of-bits">
        {selected === undefined
          ? unknown
          : `${bitsPerPixelText(bitsPerPixel(selected, image))} · ${bytesOf(selected)} bytes`}
      </span>
    </Row>
  );
}

function Quality(): JSX.Element {
  const { inspector } = useServices();
  const reconstruction = inspector.reconstruction.value;
  const stale = inspector.stale.value;
  // Nothing is measured without an original.
  if (!inspector.hasOriginal.value) return <></>;
  return (
    <Row name={<>PSNR · SSIM {stale && !inspector.awaitsRanking.value && <Stale />}</>}>
      <span class={stale ? 'stale' : undefined} data-stale={stale}>
        <span data-testid="psnr">{reconstruction === undefined ? unknown : psnrText(reconstruction.psnr, 1)}</span> dB ·{' '}
        <span data-testid="ssim" title={reconstruction?.ssim === null ? noSsim : undefined}>
          {reconstruction === undefined ? unknown : ssimText(reconstruction.ssim, 2)}
        </span>
      </span>
    </Row>
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
