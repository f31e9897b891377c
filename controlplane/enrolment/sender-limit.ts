import { GuardianError } from '../../lib/guardian-error.ts';
import { RateLimits } from '../../lib/rate-limit.ts';
import { systemTiming } from '../timing.ts';

/** A rate limit for each sender; forgets those who have been quiet. */
export interface SenderLimit {
  /** Throws `controlplane.enrolment-busy`, with how long to wait in `waitSeconds`, when it is too much. */
  take(sender: string): void;
}

export class EnrolmentBusy extends GuardianError {
  readonly waitSeconds: number;

  constructor(what: string, waitMs: number) {
    const waitSeconds = Math.ceil(waitMs / 1000);
    super('controlplane.enrolment-busy', `too many requests ${what}`, {
      hint: `Try again in ${waitSeconds} s.`,
      retryable: true,
    });
    this.waitSeconds = waitSeconds;
  }
}

/** More senders than nodes of the largest clusters; when that is not enough, the oldest are forgotten. */
const MOST_SENDERS = 10_000;

export function senderLimit(
  of: string,
  perSecond: number,
  burst: number,
  nowMs: () => number = () => systemTiming.nowMs(),
): SenderLimit {
  const limits = new RateLimits(perSecond, burst, MOST_SENDERS);
  return {
    take(sender) {
      const waitMs = limits.take(sender, nowMs());
      if (waitMs > 0) throw new EnrolmentBusy(`of ${of}`, waitMs);
    },
  };
}
