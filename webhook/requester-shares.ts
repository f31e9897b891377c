import { GuardianError } from '../lib/guardian-error.ts';
import { RateLimits } from '../lib/rate-limit.ts';

/**
 * What one requester may make us ask the API server. A request of a tenant with a hundred namespaces costs hundreds of reviews:
 * without shares, who sends many of them would have all the others wait.
 */
export interface RequesterShares {
  /** Counts a request as under way until it is disposed of. Throws `RequesterBusy` where too many of his are. */
  begin(username: string): Disposable;
  /** Takes so many questions from his share. Throws `RequesterBusy` where it is used up. */
  ask(username: string, questions: number): void;
}

export interface ShareSettings {
  /** Questions per second in the long run, and after a quiet time. */
  readonly perSecond: number;
  readonly burst: number;
  /** Requests under way at a time. */
  readonly atOnce: number;
}

/** Retryable; `waitSeconds` is what clients are told to wait. */
export class RequesterBusy extends GuardianError {
  readonly waitSeconds: number;

  constructor(username: string, waitMs: number) {
    const waitSeconds = Math.max(1, Math.ceil(waitMs / 1000));
    super('admission.busy', `user ${JSON.stringify(username)} asks for too much at once`, {
      hint: `Try again in ${waitSeconds} s`,
      retryable: true,
    });
    this.waitSeconds = waitSeconds;
  }
}

/** Quiet requesters are forgotten; when that is not enough, the oldest. */
const MOST_REQUESTERS = 10_000;

export function requesterShares(
  { perSecond, burst, atOnce }: ShareSettings,
  nowMs: () => number = () => performance.now(),
): RequesterShares {
  const underWay = new Map<string, number>();
  const limits = new RateLimits(perSecond, burst, MOST_REQUESTERS);
  return {
    begin(username) {
      const count = underWay.get(username) ?? 0;
      if (count >= atOnce) throw new RequesterBusy(username, 0);
      underWay.set(username, count + 1);
      return {
        [Symbol.dispose]: () => {
          const left = (underWay.get(username) ?? 1) - 1;
          if (left > 0) underWay.set(username, left);
          else underWay.delete(username);
        },
      };
    },
    ask(username, questions) {
      const waitMs = limits.take(username, nowMs(), questions);
      if (waitMs > 0) throw new RequesterBusy(username, waitMs);
    },
  };
}
