import { GuardianError } from '../guardian-error.ts';

/** Whether a store refused a write in a way that trying again doesn't change, e.g. for credentials that only read. */
export function isUnwritable(error: unknown): error is GuardianError {
  return error instanceof GuardianError && REFUSALS.includes(error.code);
}

const REFUSALS = ['store.denied', 'store.full', 'store.unsupported'];
