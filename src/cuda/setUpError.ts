import { TatokError } from '../method/errors';

export function setUpError(message: string, advice?: string, cause?: unknown): TatokError {
  return new TatokError('cuda-setup-failed', message, advice, { cause });
}

export function cancelledSetUp(): TatokError {
  return new TatokError('cancelled', 'Setting up CUDA was cancelled.');
}

/** What the file system refused, in a sentence for each kind; undefined for what it did not refuse. */
export function diskError(error: unknown): TatokError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  const path = 'path' in error ? String(error.path) : undefined;
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return setUpError('There is no room left on the disk.', 'Make room and start again.', error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return setUpError(
        `${path ?? 'The file'} may not be read or written.`,
        'Give yourself access to it, or choose a copy.',
        error,
      );
    case 'ENOENT':
      return setUpError(`There is no ${path ?? 'such file'}.`, 'Choose it again.', error);
    default:
      // Errors of the network name no path.
      return path === undefined ? undefined : setUpError(`${path} could not be read or written: ${error.message}.`);
  }
}
