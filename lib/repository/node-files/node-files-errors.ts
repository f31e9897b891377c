import { GuardianError } from '../../guardian-error.ts';

/** `attachments.damaged`: the bytes are no archive that we write. */
export function damagedNodeFiles(what: string, cause?: unknown): GuardianError {
  return new GuardianError('attachments.damaged', `the stored files of a node can't be read: ${what}`, {
    hint: 'Use the attachment of another backup; "etcdguardian backup list" shows which have one.',
    cause,
  });
}

/** `attachments.hostile`: well-formed, but laying it out would do something else than put a node's files in place. */
export function hostileNodeFiles(what: string): GuardianError {
  return new GuardianError('attachments.hostile', `the stored files of a node are refused: ${what}`, {
    hint: 'No program of ours writes that: find out who wrote into this store, and use another backup.',
  });
}
