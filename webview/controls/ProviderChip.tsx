import type { JSX } from 'preact';
import { Disclosure } from '../ui/Disclosure';
import type { ProviderName, ProviderReport } from '../../src/method/types';

const names: Record<ProviderName, string> = {
  cuda: 'CUDA',
  cpu: 'CPU',
  dml: 'DirectML',
  coreml: 'Core ML',
  webgpu: 'WebGPU',
};

/** The provider in use; why an earlier one of the order could not be used is never silent. */
export function ProviderChip({ report }: { readonly report: ProviderReport }): JSX.Element {
  const { failures } = report;
  const name = names[report.provider];
  const title =
    failures.length === 0
      ? `Runs on ${name}`
      : `Runs on ${name}. ${failures.map(({ provider, reason }) => `${provider}: ${reason}`).join(' ')}`;
  return (
    <Disclosure
      title={title}
      testId="provider"
      summary={
        <>
          <span class={failures.length === 0 ? 'dot' : 'dot fallback'} aria-hidden="true" />
          {name}
          {failures.length > 0 && <span class="visually-hidden"> (a fallback)</span>}
        </>
      }
    >
      {failures.length === 0 ? (
        <p>The first provider of the configured order is in use.</p>
      ) : (
        <dl class="reasons">
          {failures.map(({ provider, reason }) => (
            <div key={provider}>
              <dt>{provider} was not available</dt>
              <dd>{reason}</dd>
            </div>
          ))}
        </dl>
      )}
    </Disclosure>
  );
}
