import { GuardianError } from '../guardian-error.ts';
import { visibleText } from '../visible-text.ts';

/** What of Kubernetes' `Status` an error carries as its `cause`, for callers that look closer than at the code. */
export class KubeStatus extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** Kubernetes' word, e.g. `AlreadyExists`; empty when the answer wasn't Kubernetes'. */
  readonly reason: string;
  readonly causes: readonly StatusCause[];

  constructor(status: number, reason: string, message: string, causes: readonly StatusCause[]) {
    super(message);
    this.name = 'KubeStatus';
    this.status = status;
    this.reason = reason;
    this.causes = causes;
  }
}

/** One of several things that were wrong, e.g. a field of an object. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** The Status behind an error of a `KubeClient`; undefined when there was no answer, or it isn't such an error. */
export function statusOf(error: unknown): KubeStatus | undefined {
  return error instanceof GuardianError && error.cause instanceof KubeStatus ? error.cause : undefined;
}

/**
 * The error for an answer that isn't a success. `what` names the call for people, e.g. `get secret team-a/store`.
 * `body` is what came, parsed when it was JSON.
 */
export function statusError(what: string, status: number, body: unknown): GuardianError {
  const cause = readStatus(status, body);
  const { code, hint, retryable } = meaningOf(cause);
  return new GuardianError(code, `${what}: ${cause.message}`, {
    ...(hint === undefined ? {} : { hint }),
    retryable,
    cause,
  });
}

interface Meaning {
  readonly code: string;
  readonly retryable: boolean;
  readonly hint?: string;
}

const MEANING_OF_STATUS: Readonly<Record<number, Meaning>> = {
  400: { code: 'kubernetes.invalid', retryable: false },
  401: {
    code: 'kubernetes.unauthorized',
    retryable: false,
    hint: 'the API server does not know this token or certificate (any more): log in again, or look at the kubeconfig',
  },
  403: {
    code: 'kubernetes.forbidden',
    retryable: false,
    hint: 'if this should be allowed, give the user that the message names a Role or ClusterRole with this permission',
  },
  404: { code: 'kubernetes.not-found', retryable: false },
  409: { code: 'kubernetes.conflict', retryable: true },
  410: { code: 'kubernetes.gone', retryable: true },
  422: { code: 'kubernetes.invalid', retryable: false },
  429: {
    code: 'kubernetes.busy',
    retryable: true,
    hint: 'the API server is busy; the same call may succeed later',
  },
};

function meaningOf({ status, reason, causes }: KubeStatus): Meaning {
  if (reason === 'AlreadyExists') return { code: 'kubernetes.exists', retryable: false };
  if (reason === 'Expired') return { code: 'kubernetes.gone', retryable: true };
  // A history that this server doesn't have (yet): etcd was restored, or this server lags.
  if (causes.some((cause) => cause.reason === 'ResourceVersionTooLarge'))
    return { code: 'kubernetes.gone', retryable: true };
  const known = MEANING_OF_STATUS[status];
  if (known !== undefined) return known;
  if (status >= 500) return { code: 'kubernetes.unavailable', retryable: true };
  return { code: 'kubernetes.refused', retryable: false };
}

/** Webhooks and aggregated API servers write these texts too. */
const LONGEST_MESSAGE = 2_000;
const MOST_CAUSES = 50;

function readStatus(status: number, body: unknown): KubeStatus {
  if (!isObject(body)) return new KubeStatus(status, '', `the API server answered ${status}`, []);
  const message = textOf(body.message);
  const details = isObject(body.details) ? body.details : {};
  const causes = Array.isArray(details.causes) ? (details.causes as unknown[]).slice(0, MOST_CAUSES) : [];
  return new KubeStatus(
    status,
    textOf(body.reason),
    message === '' ? `the API server answered ${status}` : message,
    causes.filter(isObject).map((cause) => ({
      reason: textOf(cause.reason),
      message: textOf(cause.message),
      field: textOf(cause.field),
    })),
  );
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? visibleText(value.slice(0, LONGEST_MESSAGE)).replaceAll('\n', ' ') : '';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
