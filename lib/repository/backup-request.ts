import type { CallOptions } from './call-options.ts';

export interface ListOptions extends CallOptions {
  readonly includeRemoved?: boolean | undefined;
  /** Only backups that were begun since then, by the clock of who made them. */
  readonly since?: Date | undefined;
}

export interface BackupRequest {
  /** uid of namespace kube-system, or a name. */
  readonly cluster: string;
  readonly etcdClusterId: bigint;
  /** The highest revision that any member of the cluster shows now: behind what was backed up means that history went back. */
  readonly clusterRevision: bigint;
  /**
   * Asks for the current revision with a linearizable read: called when more than `clusterRevision` was backed up or
   * captured, as by others meanwhile. Lower still means that history went back. Left out, or where it rejects: what was
   * captured behind the newest backup doesn't count, and a newest backup above `clusterRevision` does.
   */
  readonly latestRevision?: (() => Promise<bigint>) | undefined;
  /**
   * For what is made from backups that stand on this timeline: only there, whatever else was backed up since. Rejects
   * with `repository.other-timeline` where it isn't the newest, or of another etcd cluster; none is begun.
   */
  readonly onTimeline?: string | undefined;
  readonly retainUntil?: Date | undefined;
}
