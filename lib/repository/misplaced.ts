import { GuardianError } from '../guardian-error.ts';

/** A document that says to be another one than its name tells: moved or copied by someone who can write the store. */
export function misplaced(name: string, itself: string): GuardianError {
  return new GuardianError('repository.misplaced', `${name} holds the document of ${itself}`, {
    hint: 'Someone copied or moved it within the store; find out who before you trust what is there.',
  });
}
