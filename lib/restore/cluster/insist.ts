import { setTimeout as pause } from 'node:timers/promises';
import { GuardianError } from '../../guardian-error.ts';

/** What says nothing about the work itself: the node, or the road to it, was away. */
const AWAY: ReadonlySet<string> = new Set([
  ...['agent.unreachable', 'agent.connection-lost', 'agent.deadline', 'agent.stopping', 'agent.state'],
]);

export function isAway(error: unknown): boolean {
  return error instanceof GuardianError && AWAY.has(error.code);
}

export interface Insistence {
  /** So long an absence is borne. */
  readonly forMs: number;
  readonly everyMs: number;
  readonly signal: AbortSignal;
}

/** Calls again while the other side is merely away; rejects with the last error after `forMs`, with others at once. */
export async function insist<T>(call: () => Promise<T>, { forMs, everyMs, signal }: Insistence): Promise<T> {
  const endMs = performance.now() + forMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isAway(error) || signal.aborted || performance.now() >= endMs) throw error;
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
