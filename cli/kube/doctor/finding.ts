import type { GuardianError } from '../../../lib/guardian-error.ts';

/** One thing that the doctor looked at. */
export interface Finding {
  /** What was looked at, e.g. `leader`, `agent node-1`. */
  readonly check: string;
  /** `unknown`: nobody could look. */
  readonly state: 'ok' | 'warn' | 'fail' | 'unknown';
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
}

export function ok(check: string, message: string): Finding {
  return { check, state: 'ok', message };
}

export function warn(check: string, message: string, hint: string): Finding {
  return { check, state: 'warn', message, hint };
}

export function fail(check: string, message: string, hint: string): Finding {
  return { check, state: 'fail', message, hint };
}

/** A permission that is missing is nothing wrong with the installation. */
export function unknown(check: string, problem: GuardianError): Finding {
  return {
    ...{ check, state: 'unknown', message: `could not look: ${problem.message}` },
    hint:
      problem.code === 'kubernetes.forbidden'
        ? 'Run the doctor as someone who may, or accept that this was not checked.'
        : problem.hint,
  };
}
