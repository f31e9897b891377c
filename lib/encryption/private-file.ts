import { open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GuardianError, reasonOf } from '../guardian-error.ts';

/**
 * Writes a file that only its owner may read, durable once this resolves. Never replaces anything: rejects with
 * `keys.exists` if the path is taken, `keys.unwritable` otherwise, and leaves no half file behind.
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  try {
    await using handle = await open(path, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } catch (error) {
      await unlink(path);
      throw error;
    }
    await using folder = await open(dirname(path), 'r');
    await folder.sync();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new GuardianError('keys.exists', `${path} is there already`, {
        hint: 'Keys are never overwritten. Choose another path, or move that file away if you are sure of it.',
        cause: error,
      });
    }
    throw new GuardianError('keys.unwritable', `can't write ${path}: ${reasonOf(error)}`, {
      hint: 'Choose a path in a folder that exists and that this user may write.',
      cause: error,
    });
  }
}
