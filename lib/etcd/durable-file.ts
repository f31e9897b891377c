import { open } from 'node:fs/promises';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/** Makes what was created, renamed or removed in a folder survive a power failure. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * What went wrong on disk, as an operator should read it: `disk.full`, `disk.denied`, `disk.not-found`, `disk.failed`.
 * `doing` is what was being done and names the file, e.g. `writing /var/lib/etcd/member/snap/db`. Anything that isn't
 * an error of the operating system is given back as it is.
 */
export function diskError(error: unknown, doing: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error;
  const [code, hint] = CAUSES.get(String(error.code)) ?? OTHER_CAUSE;
  return new GuardianError(code, `${doing}: ${reasonOf(error)}`, { hint, cause: error });
}

const FULL =
  'Free or add disk space (or raise the quota), or choose another place; nothing half-written was kept.';
const DENIED = 'Check the owner and mode of the folder, and whether its filesystem is mounted read-only.';
const OTHER_CAUSE = ['disk.failed', 'Check the disk or the network mount below that path.'] as const;

const CAUSES = new Map<string, readonly [code: string, hint: string]>([
  ['ENOSPC', ['disk.full', FULL]],
  ['EDQUOT', ['disk.full', FULL]],
  ['EFBIG', ['disk.full', FULL]],
  ['EACCES', ['disk.denied', DENIED]],
  ['EPERM', ['disk.denied', DENIED]],
  ['EROFS', ['disk.denied', DENIED]],
  ['ENOENT', ['disk.not-found', 'Check the path.']],
  ['EEXIST', ['disk.not-found', 'Check the path: something that is no folder is in its place.']],
  ['ENOTDIR', ['disk.not-found', 'Check the path: a part of it is a file.']],
  ['EISDIR', ['disk.not-found', 'Check the path: it is a folder, a file is needed.']],
]);
