/** etcd or an API server of this node, however it runs. Each call may be repeated. */
export interface NodeService {
  /** For people, e.g. `static pod /etc/kubernetes/manifests/etcd.yaml`. */
  readonly label: string;
  /**
   * Resolves once it is seen to be gone and kept from coming back. Rejects with `restore.not-stopped` past the deadline,
   * and `restore.service`.
   */
  stop(deadline: Deadline): Promise<void>;
  /** Lets it run again; whether it answers is for others to see. Rejects with `restore.service`. */
  start(deadline: Deadline): Promise<void>;
  /** Whether no process of it is seen now. */
  isStopped(): Promise<boolean>;
}

/** Until when something is waited for. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Milliseconds that are left; 0 when it has passed. */
  leftMs(): number;
}

/** `ms` from now, by a clock that never steps; also over when the signal aborts. */
export function deadlineIn(ms: number, signal: AbortSignal, nowMs = () => performance.now()): Deadline {
  const end = nowMs() + ms;
  return {
    signal,
    leftMs: () => (signal.aborted ? 0 : Math.max(0, end - nowMs())),
  };
}
