/** What a `GuardianError` can carry beside its code and message. */
export interface GuardianErrorDetails {
  /** What the operator can do next, in one sentence. */
  readonly hint?: string;
  /** True when the same call may succeed later without anyone changing anything. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/**
 * The one error class of this project. `code` is stable and machine-readable (`room.what`, e.g.
 * `store.not-found`); `message` names the thing that failed; `hint` says what to do next.
 */
export class GuardianError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly retryable: boolean;

  constructor(code: string, message: string, details: GuardianErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'GuardianError';
    this.code = code;
    this.hint = details.hint;
    this.retryable = details.retryable ?? false;
  }
}

/** True when `error` is a `GuardianError` whose code is `code`. */
export function hasCode(error: unknown, code: string): error is GuardianError {
  return error instanceof GuardianError && error.code === code;
}

/** The text of anything that was thrown, for a message that names its cause. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
