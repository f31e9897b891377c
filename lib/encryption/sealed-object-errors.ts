import { GuardianError } from '../guardian-error.ts';

/** A sealed object that ends before its last frame. */
export function truncated(object: string, where: string): GuardianError {
  return new GuardianError('encryption.truncated', `sealed object ${object} is cut off ${where}`, {
    hint: 'Its upload was not completed, or it was cut since. Use another backup, or another copy of this object.',
  });
}

/** Bytes that are not what was sealed. */
export function corrupt(object: string, what: string, cause?: unknown): GuardianError {
  return new GuardianError('encryption.corrupt', `sealed object ${object} is damaged: ${what}`, {
    hint: 'It was changed after it was sealed. Use another backup, or another copy of this object.',
    cause,
  });
}

/** No sealed object at all, although a key is configured. */
export function notSealed(object: string): GuardianError {
  return new GuardianError(
    'encryption.plaintext',
    `object ${object} is not one we encrypted, although a key is configured`,
    {
      hint: 'It was written without keys, or replaced by someone who can write the store. Read it without a key only if you know why.',
    },
  );
}

/** Sealed for another name. */
export function misplaced(object: string, differences: string): GuardianError {
  return new GuardianError(
    'encryption.context',
    `sealed object ${object} was sealed for another place: ${differences}`,
    {
      hint: 'Someone copied or renamed objects inside the store. Use another backup, or put the original object back.',
    },
  );
}

/** None of our keys is a recipient. */
export function keyMissing(
  object: string,
  needed: readonly string[],
  held: readonly string[],
): GuardianError {
  return new GuardianError(
    'encryption.key-missing',
    `sealed object ${object} opens with ${needed.join(' or ')}; we hold ${held.length === 0 ? 'no key that opens' : held.join(', ')}`,
    { hint: 'Give the key file that these backups were made with, or the offline recovery file.' },
  );
}
