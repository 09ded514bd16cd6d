import type { JSX } from 'preact';
import { InfluenceProgress } from '../controls/GlobalTokens';
import { Dimensions, ModelDetails } from '../controls/Header';
import { ProviderChip } from '../controls/ProviderChip';
import { Status } from '../controls/Status';
import { useServices } from '../state/context';

/** Which image is on a side, by which model, and where it ran. */
export function SideHeader({ letter }: { readonly letter: string }): JSX.Element {
  const { inspector } = useServices();
  const tokenization = inspector.tokenization.value;
  const document = inspector.document.value;
  return (
    <header class="header">
      <span class="letter" aria-hidden="true">
        {letter}
      </span>
      <h2 class="file-name" title={document?.uri}>
        {document?.name ?? '…'}
      </h2>
      {tokenization && <Dimensions image={tokenization.image} />}
      {tokenization && <ModelDetails model={tokenization.model} summary={tokenization.model.name} />}
      <span class="spacer" />
      {inspector.overlay.value === 'influence' && <InfluenceProgress />}
      <Status timed={false} />
      {tokenization && <ProviderChip report={tokenization.provider} />}
    </header>
  );
}
