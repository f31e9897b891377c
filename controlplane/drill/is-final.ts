import { GuardianError } from '../../lib/guardian-error.ts';

/** What comes right by no trying: what is missing or not allowed. Everything else is tried again soon. */
export function isFinal(error: unknown): boolean {
  if (!(error instanceof GuardianError) || error.retryable) return false;
  return !error.code.startsWith('kubernetes.') || REFUSED.has(error.code);
}

const REFUSED: ReadonlySet<string> = new Set([
  'kubernetes.forbidden',
  'kubernetes.invalid',
  'kubernetes.refused',
]);
