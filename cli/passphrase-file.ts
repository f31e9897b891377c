import { readFileSync } from 'node:fs';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';

/** The passphrase in the first line of a file; undefined when no file is named. */
export function passphraseIn(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new GuardianError(
      'usage.passphrase-file',
      `the passphrase file can't be read: ${reasonOf(error)}`,
      {
        cause: error,
      },
    );
  }
  const passphrase = text.split(/\r?\n/, 1)[0] ?? '';
  if (passphrase.length < LEAST_LENGTH) {
    throw new GuardianError(
      'usage.passphrase-file',
      `the first line of ${file} is too short for a passphrase`,
      {
        hint: `Write at least ${LEAST_LENGTH} characters into its first line; several words are easier to keep than signs.`,
      },
    );
  }
  return passphrase;
}

const LEAST_LENGTH = 8;
