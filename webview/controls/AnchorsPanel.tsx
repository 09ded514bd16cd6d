import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Button } from '../ui/toolkit';
import { bitsPerPixel, bitsPerPixelText, codecNames, codecs, noneWithin, type Codec } from '../../src/method/anchors';
import { noSsim, psnrText, ssimText } from '../../src/method/quality';

/** The reconstruction beside the photograph in common formats at the same bytes: figures, and which of them the view *Codec* shows. */
export function AnchorsPanel(): JSX.Element | null {
  const { inspector, session } = useServices();
  const { anchors } = session;
  // Of tokens from a file there is no photograph to encode.
  if (!inspector.hasOriginal.value) return null;
  const on = inspector.anchored.value;
  return (
    <section class="panel anchors" aria-labelledby="anchors-title">
      <div class="title-line">
        <h2 id="anchors-title">At the same bytes</h2>
        {on && anchors.stale.value && (
          <span class="muted" role="status" data-testid="anchors-working">
            encoding…
          </span>
        )}
        <span class="spacer" />
        <Button
          testId="anchors"
          title={on ? 'Encode no more' : 'Encodes the photograph at several sizes and qualities, and takes the best'}
          onPress={() => anchors.toggle()}
        >
          {on ? 'Hide' : 'Compute'}
        </Button>
      </div>
      {on ? <Figures /> : <p class="muted">The photograph in WebP, AVIF and JPEG within the bytes of its tokens.</p>}
    </section>
  );
}

function Figures(): JSX.Element {
  const { inspector, session } = useServices();
  const bytes = session.anchors.bytes.value;
  const { selected, picture, reconstruction, stale } = inspector;
  const of = stale.value ? undefined : reconstruction.value;
  return (
    <>
      <table class="figures-table">
        <thead>
          <tr>
            <td />
            <th scope="col">bytes</th>
            <th scope="col">PSNR, dB</th>
            <th scope="col">SSIM</th>
          </tr>
        </thead>
        <tbody>
          <tr data-testid="anchor-tokens">
            <th scope="row">tokens</th>
            <td>{bytes ?? '–'}</td>
            <td>{of === undefined ? '–' : psnrText(of.psnr, 1)}</td>
            <td title={of?.ssim === null ? noSsim : undefined}>{of === undefined ? '–' : ssimText(of.ssim, 2)}</td>
          </tr>
          {codecs.map((codec) => (
            <CodecRow key={codec} codec={codec} />
          ))}
        </tbody>
      </table>
      {selected.value && picture.value && (
        <p class="muted" data-testid="anchors-note">
          {bitsPerPixelText(bitsPerPixel(selected.value, picture.value.image))} bits per pixel. Files count with their
          container, which tokens and mask do not have.
        </p>
      )}
    </>
  );
}

function CodecRow({ codec }: { readonly codec: Codec }): JSX.Element {
  const { inspector, session } = useServices();
  const { anchors } = session;
  const anchor = anchors.shown.value.get(codec);
  const file = anchor?.file;
  const viewed = inspector.view.value === 'anchor' && inspector.codec.value === codec;
  const view = (): void => {
    inspector.codec.value = codec;
    inspector.view.value = 'anchor';
  };
  return (
    <tr
      class={anchor !== undefined && anchor.limitBytes !== anchors.bytes.value ? 'stale' : undefined}
      data-testid={`anchor-${codec}`}
      data-viewed={viewed}
    >
      <th scope="row">
        {file ? (
          <Button
            appearance="icon"
            testId={`anchor-view-${codec}`}
            label={`View ${codecNames[codec]}`}
            title={`Shows it beside the reconstruction: ${file.encoded.width}×${file.encoded.height} pixels at quality ${file.quality}`}
            onPress={view}
          >
            {codecNames[codec]}
          </Button>
        ) : (
          codecNames[codec]
        )}
      </th>
      {anchor !== undefined && !file ? (
        <td colSpan={3} class="muted">
          {noneWithin(anchor)}
        </td>
      ) : (
        <>
          <td title={file ? `${file.containerBytes} of them container` : undefined}>{file?.bytes ?? '–'}</td>
          <td>{file ? psnrText(file.psnr, 1) : '–'}</td>
          <td title={file?.ssim === null ? noSsim : undefined}>{file ? ssimText(file.ssim, 2) : '–'}</td>
        </>
      )}
    </tr>
  );
}
