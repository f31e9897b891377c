/**
 * Brings one kind of object step by step to where its spec wants it. Only the leader runs controllers; a key is never
 * reconciled twice at the same time.
 */
export interface Controller {
  /** For logs and metrics, e.g. `backup`. */
  readonly name: string;
  /** Keys that are reconciled at the same time. */
  readonly workers: number;
  /** Begins to watch, and puts what changed into `queue`; resolves when the first list is in. Ends with the signal. */
  start(queue: KeyQueue, signal: AbortSignal): Promise<void>;
  /**
   * One step for `namespace/name`. Resolves to when it wants to be called again, whatever changes; rejects to be called
   * again with back-off. The signal aborts when leadership ends: nothing may be written after that.
   */
  reconcile(key: string, signal: AbortSignal): Promise<Again | undefined>;
}

export interface Again {
  readonly afterMs: number;
}

export interface KeyQueue {
  /** Due now, or after so long; the earliest wins. */
  add(key: string, afterMs?: number): void;
}
