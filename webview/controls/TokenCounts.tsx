import type { JSX } from 'preact';
import { useServices } from '../state/context';
import { Row } from '../ui/Row';

/** What the kept set costs, and what the reconstruction from it is worth. */
export function TokenCounts(): JSX.Element | null {
  const { inspector } = useServices();
  const selected = inspector.selected.value;
  const tokenization = inspector.tokenization.value;
  if (selected === undefined || tokenization === undefined) return null;
  const globalTokens = tokenization.tokens.globalCodes.length;
  const all = globalTokens + selected.keep.length;
  return (
    <section class="panel tokens" aria-labelledby="tokens-title">
      <h2 id="tokens-title">Tokens {inspector.awaitsRanking.value && <Stale />}</h2>
      <dl class={inspector.awaitsRanking.value ? 'rows stale' : 'rows'}>
        <Row name="kept + global">
          <strong>
            <span data-testid="kept-count">{selected.keptTokens}</span> + {globalTokens} ={' '}
            <span data-testid="total-tokens">{selected.totalTokens}</span>
          </strong>
        </Row>
        <Row name={`of ${all}`}>{(all / selected.totalTokens).toFixed(1)}× fewer</Row>
        <Row name="payload + mask">
          <span data-testid="bits">
            {selected.payloadBits.toFixed(0)} + {selected.maskBits.toFixed(0)} bits
          </span>
        </Row>
        <Quality />
      </dl>
    </section>
  );
}

function Quality(): JSX.Element | null {
  const { inspector } = useServices();
  const reconstruction = inspector.reconstruction.value;
  if (reconstruction === undefined) return null;
  const stale = inspector.stale.value;
  const psnr = Number.isFinite(reconstruction.psnr) ? reconstruction.psnr.toFixed(1) : '∞';
  return (
    <Row name={<>PSNR · SSIM {stale && !inspector.awaitsRanking.value && <Stale />}</>}>
      <span class={stale ? 'stale' : undefined} data-stale={stale}>
        <span data-testid="psnr">{psnr}</span> dB ·{' '}
        <span data-testid="ssim">{Number.isNaN(reconstruction.ssim) ? '–' : reconstruction.ssim.toFixed(2)}</span>
      </span>
    </Row>
  );
}

function Stale(): JSX.Element {
  return (
    <span class="badge" data-testid="stale" title="Of the former settings, until the new reconstruction arrives">
      stale
    </span>
  );
}
