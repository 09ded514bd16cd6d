/** Stable names of everything the pipeline can refuse to do; tests, the panel and the command line branch on them. */
export const tatokErrorCodes = [
  'image-unreadable',
  'image-too-large',
  'image-unsupported',
  'model-missing',
  'model-invalid',
  'model-file-corrupt',
  'model-incompatible',
  'provider-unavailable',
  'inference-failed',
  'inference-crashed',
  'time-limit',
  'memory-limit',
  'cuda-setup-failed',
  'cancelled',
  'bad-settings',
  'tokens-invalid',
  'tokens-of-another-model',
  'input-unreadable',
  'bad-message',
  'export-failed',
] as const;

export type TatokErrorCode = (typeof tatokErrorCodes)[number];

/** An error whose message is one clear sentence for the user, with what they can do next. */
export class TatokError extends Error {
  override readonly name = 'TatokError';

  constructor(
    readonly code: TatokErrorCode,
    message: string,
    readonly advice?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
