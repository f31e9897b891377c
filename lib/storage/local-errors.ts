import { GuardianError, reasonOf } from '../guardian-error.ts';

/** Turns what a file operation threw into the contract's codes; `what` names the thing, e.g. `object a/b in file:///x`. */
export function localError(error: unknown, what: string): GuardianError {
  if (error instanceof GuardianError) return error;
  const cause = error;
  const message = `${what}: ${reasonOf(error)}`;
  switch (errnoOf(error)) {
    case 'ENOENT':
      return new GuardianError('store.not-found', `${what}: there is no such file`, { cause });
    case 'EEXIST':
      return new GuardianError('store.exists', `${what}: the name is taken`, { cause });
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new GuardianError('store.full', message, {
        cause,
        hint: 'Free or add disk space (or raise the quota); nothing half-written is kept.',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new GuardianError('store.denied', message, {
        cause,
        hint: 'Give the user that runs this write permission on the folder, on a file system that is mounted writable.',
      });
    case 'ELOOP':
      return new GuardianError('store.denied', `${what}: it is a symbolic link, which is never followed`, {
        cause,
        hint: 'Replace the link by what it points to.',
      });
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ENAMETOOLONG':
      return new GuardianError(
        'store.name',
        `${what}: a file and a folder can't share a name, nor be overlong`,
        {
          cause,
        },
      );
    case 'EXDEV':
    case 'ENOTSUP':
    case 'EOPNOTSUPP':
    case 'ENOSYS':
    case 'EMLINK':
      return new GuardianError('store.unsupported', message, {
        cause,
        hint: 'The store needs one file system with hard links, such as ext4, XFS or NFS, for the whole folder.',
      });
    case 'EIO':
    case 'ESTALE':
    case 'ETIMEDOUT':
    case 'ENXIO':
    case 'ENODEV':
      return new GuardianError('store.unreachable', message, {
        cause,
        retryable: true,
        hint: 'Check the disk or the network mount below the folder.',
      });
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
    case 'EBUSY':
    case 'EAGAIN':
      return new GuardianError('store.busy', message, { cause, retryable: true });
    default:
      return new GuardianError('store.failed', message, { cause });
  }
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
