import { unlink } from 'node:fs/promises';
import { formatKeyFile } from './key-file.ts';
import type { NewKeys } from './keys.ts';
import { writePrivateFile } from './private-file.ts';
import { formatRecoveryFile } from './recovery-file.ts';

export interface KeyFilePaths {
  readonly keyFile: string;
  readonly recoveryFile: string;
  /** Encrypts the recovery file. */
  readonly passphrase: string | undefined;
}

/**
 * Writes a key file and the recovery file that belongs to it: both or none, over nothing that is there. Rejects with
 * `keys.exists` or `keys.unwritable`.
 */
export async function writeKeyFiles({ keys, recovery }: NewKeys, paths: KeyFilePaths): Promise<void> {
  // First what nobody can make again: a key file alone must never come into use.
  await writePrivateFile(paths.recoveryFile, formatRecoveryFile(recovery, paths.passphrase));
  try {
    await writePrivateFile(paths.keyFile, formatKeyFile(keys));
  } catch (error) {
    await unlink(paths.recoveryFile);
    throw error;
  }
}
