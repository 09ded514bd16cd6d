import { TatokError } from '../../tokenizer/errors';

export function setUpError(message: string, advice?: string, cause?: unknown): TatokError {
  return new TatokError('cuda-setup-failed', message, advice, { cause });
}

export function cancelledSetUp(): TatokError {
  return new TatokError('cancelled', 'Setting up CUDA was cancelled.');
}
