import { GuardianError } from '../../lib/guardian-error.ts';

export interface AttemptLimits {
  /** How often one backup is begun at most, attempts that ended with the process among them. */
  readonly attempts: number;
  /** After the first that failed; doubled with each further one. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

export const ATTEMPT_LIMITS: AttemptLimits = {
  attempts: 8,
  firstPauseMs: 10_000,
  longestPauseMs: 600_000,
};

/** When to try again after `error` ended attempt number `attempts`; undefined: not any more. */
export function nextAttemptMs(
  error: unknown,
  attempts: number,
  limits: AttemptLimits,
  random: () => number,
): number | undefined {
  const mayHelp = error instanceof GuardianError && error.retryable;
  if (!mayHelp || attempts >= limits.attempts) return undefined;
  const fullMs = Math.min(limits.longestPauseMs, limits.firstPauseMs * 2 ** (attempts - 1));
  return fullMs * (0.5 + random() / 2);
}

/** For a backup that was begun too often, mostly because this process ended each time. */
export function tooManyAttempts(attempts: number): GuardianError {
  return new GuardianError(
    'controlplane.attempts',
    `it was begun ${attempts} times, and the control plane ended or lost leadership each time`,
    { hint: 'Look why the control plane restarts (memory limit?), then make the backup again.' },
  );
}
