import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { TRAILERS } from './methods.ts';

/** An error as gRPC carries it to the caller: its text as the status message, the rest in trailers. */
export function carried(error: unknown): StatusObject {
  const metadata = new Metadata();
  if (!(error instanceof GuardianError)) {
    return { code: status.INTERNAL, details: shortened(reasonOf(error)), metadata };
  }
  metadata.set(TRAILERS.code, error.code);
  metadata.set(TRAILERS.retryable, String(error.retryable));
  // Trailers are ASCII, hints aren't always.
  if (error.hint !== undefined) metadata.set(TRAILERS.hint, encodeURIComponent(shortened(error.hint)));
  return { code: statusOf(error), details: shortened(error.message), metadata };
}

/** The error that came in trailers; undefined when there is none. */
export function uncarried(ended: Pick<StatusObject, 'details' | 'metadata'>): GuardianError | undefined {
  const first = (name: string): string | undefined => ended.metadata.get(name)[0]?.toString();
  const code = first(TRAILERS.code);
  if (code === undefined || !/^[a-z0-9-]{1,40}\.[a-z0-9.-]{1,60}$/.test(code)) return undefined;
  const hint = first(TRAILERS.hint);
  return new GuardianError(code, ended.details, {
    retryable: first(TRAILERS.retryable) === 'true',
    ...(hint === undefined ? {} : { hint: decoded(hint) }),
  });
}

/** Headers have limits, and what can't be encoded must not hide the error. */
function shortened(text: string): string {
  const wellFormed = text.toWellFormed();
  return wellFormed.length > MAX_TEXT ? `${wellFormed.slice(0, MAX_TEXT)}…`.toWellFormed() : wellFormed;
}

const MAX_TEXT = 2_000;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function statusOf({ code, retryable }: GuardianError): status {
  const found = STATUSES.get(code);
  if (found !== undefined) return found;
  if (code.startsWith('pki.')) return status.PERMISSION_DENIED;
  return retryable ? status.UNAVAILABLE : status.FAILED_PRECONDITION;
}

const STATUSES: ReadonlyMap<string, status> = new Map([
  ['agent.request', status.INVALID_ARGUMENT],
  ['agent.unsupported', status.UNIMPLEMENTED],
  ['agent.cancelled', status.CANCELLED],
  ['agent.busy', status.RESOURCE_EXHAUSTED],
]);
