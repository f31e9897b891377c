import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leftovers } from './leftovers.ts';

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
  /** A path below the folder. */
  join(...names: string[]): string;
}

/**
 * A new empty folder that is removed at the end, also when the test process is killed:
 *
 *     await using folder = await temporaryFolder();
 *
 * On the memory disk where that has room (tests of etcd are fsync-bound), else, and with `on: 'disk'`, in the
 * system's folder for temporary files.
 */
export async function temporaryFolder(options: { on?: 'memory' | 'disk' } = {}): Promise<TemporaryFolder> {
  const parent = options.on === 'disk' ? tmpdir() : await roomiest();
  const path = await mkdtemp(join(parent, 'etcdguardian-test-'));
  leftovers.addFolder(path);
  return {
    path,
    join: (...names) => join(path, ...names),
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
      leftovers.removeFolder(path);
    },
  };
}

const ENOUGH_BYTES = 2 * 2 ** 30;

async function roomiest(): Promise<string> {
  try {
    const { bavail, bsize } = await statfs('/dev/shm');
    if (bavail * bsize >= ENOUGH_BYTES) return '/dev/shm';
  } catch {
    // No memory disk on this system.
  }
  return tmpdir();
}
