import { GuardianError } from '../../guardian-error.ts';
import { realWaiting, type Waiting } from './waiting.ts';

/** What says nothing about the work itself: the node, or the road to it, was away. */
const AWAY: ReadonlySet<string> = new Set([
  ...['agent.unreachable', 'agent.connection-lost', 'agent.deadline', 'agent.stopping', 'agent.state'],
]);

export function isAway(error: unknown): error is GuardianError {
  return error instanceof GuardianError && AWAY.has(error.code);
}

export interface Insistence {
  /** So long an absence is borne. */
  readonly forMs: number;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  readonly waiting?: Waiting | undefined;
}

/** Calls again while the other side is merely away; rejects with the last error after `forMs`, with others at once. */
export async function insist<T>(call: () => Promise<T>, how: Insistence): Promise<T> {
  const { forMs, everyMs, signal, waiting = realWaiting } = how;
  const endMs = waiting.nowMs() + forMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isAway(error) || signal.aborted || waiting.nowMs() >= endMs) throw error;
      await waiting.pause(everyMs, signal);
    }
  }
}
