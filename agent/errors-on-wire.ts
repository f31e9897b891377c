import type { Problem } from '../lib/agent-api/request-parts.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';

/** Something that is wrong, as descriptions carry it. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof GuardianError))
    return { code: 'agent.failed', message: reasonOf(error), hint: '', retryable: false };
  const { code, message, hint = '', retryable } = error;
  return { code, message, hint, retryable };
}
