import { visibleText } from '../lib/visible-text.ts';
import type { Answer } from './admission-review.ts';
import type { Objection } from './policy.ts';

/**
 * Kubernetes' answer to a request that isn't admitted: Invalid where the object makes no sense, Forbidden where it might
 * from someone else, ServiceUnavailable where nobody could say.
 */
export function refusal(objections: readonly Objection[]): Answer {
  const shown = objections.slice(0, MOST).map(text);
  const more = objections.length > MOST ? [`and ${objections.length - MOST} more`] : [];
  const message = visibleText([...shown, ...more].join('. ')).slice(0, LONGEST);
  return { allowed: false, status: { status: 'Failure', message, ...reasonOf(objections) } };
}

/** Nobody objects, but nobody could be asked either. */
export function unavailable(message: string): Answer {
  const status = {
    status: 'Failure',
    reason: 'ServiceUnavailable',
    code: 503,
    message: visibleText(message),
  };
  return { allowed: false, status };
}

/** API servers pass the time on as Retry-After, which their clients keep to. */
export function busy(message: string, retryAfterSeconds: number): Answer {
  const status = {
    status: 'Failure',
    reason: 'TooManyRequests',
    code: 429,
    message: visibleText(message),
    details: { retryAfterSeconds },
  };
  return { allowed: false, status };
}

const MOST = 10;
const LONGEST = 8_192;

function text(objection: Objection): string {
  if (objection.kind === 'invalid') return `${objection.field}: ${objection.message}`;
  return objection.hint === undefined ? objection.message : `${objection.message} — ${objection.hint}`;
}

function reasonOf(objections: readonly Objection[]): object {
  const forbidden = objections.filter((one) => one.kind === 'forbidden');
  if (forbidden.length === 0) {
    const causes = objections
      .filter((one) => one.kind === 'invalid')
      .slice(0, MOST)
      .map(({ field, message }) => ({ reason: 'FieldValueInvalid', field, message: visibleText(message) }));
    return { reason: 'Invalid', code: 422, details: { causes } };
  }
  // Trying again helps only if it may help against all of them.
  if (forbidden.length === objections.length && forbidden.every(({ retryable }) => retryable === true))
    return { reason: 'ServiceUnavailable', code: 503 };
  return { reason: 'Forbidden', code: 403 };
}
