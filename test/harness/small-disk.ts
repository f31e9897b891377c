import { execFileSync } from 'node:child_process';
import { startProcess } from './server-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A file system that is soon full. Only processes that are started `within` it see it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** A command that runs the command after it. */
  readonly within: readonly string[];
}

const isRoot = process.getuid?.() === 0;
// Who is not root becomes it in a user namespace of its own, where the system allows that.
const UNSHARE = ['--mount', ...(isRoot ? [] : ['--user', '--map-root-user'])];
const NSENTER = ['nsenter', '--mount', ...(isRoot ? [] : ['--user', '--preserve-credentials'])];

/** Mounts a memory disk of `bytes` in a mount namespace of its own. */
export async function smallDisk(bytes: number): Promise<SmallDisk> {
  const folder = await temporaryFolder();
  const mount = `mount -t tmpfs -o size=${bytes} none "$0" && echo mounted && exec sleep infinity`;
  const holder = await startProcess('unshare', [...UNSHARE, 'sh', '-c', mount, folder.path]);
  const dispose = async (): Promise<void> => {
    await holder.kill();
    await folder[Symbol.asyncDispose]();
  };
  try {
    await holder.line(/^mounted$/);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    path: folder.path,
    within: [...NSENTER, `--target=${holder.pid}`, '--'],
    [Symbol.asyncDispose]: dispose,
  };
}

/** Options for `test()`: skips it loudly where the system lets nobody mount, but fails in CI. */
export function needsSmallDisk(): { skip?: string } {
  if (process.env.CI !== undefined) return {};
  try {
    execFileSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return {};
  } catch {
    return { skip: 'NOT RUN: this user may not mount a memory disk, not even in a namespace of its own' };
  }
}
