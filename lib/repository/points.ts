import type { GuardianError } from '../guardian-error.ts';
import type { BackupEntry, BackupPlace, RemovalRequest, SoundBackup } from './backup-entry.ts';
import type { CallOptions } from './call-options.ts';
import type { ChainPlace, StoredSegment } from './chain.ts';
import type { PointQuery } from './choose-point.ts';
import type { DoubtfulTimes } from './doubtful-times.ts';
import type { LostPoints } from './lost-points.ts';
import type { Hole, PointInTime, PointSpan } from './point-spans.ts';
import type { TimelineEntry } from './timeline-entry.ts';
import type { TrimState } from './trim-state.ts';

/** What can be restored: bases, and every revision that segments add behind them. Rejects as `Repository` does. */
export interface RestorePoints {
  /** Every timeline, newest first. Reads the head of every segment. */
  list(cluster: string, options?: CallOptions): Promise<TimelinePoints[]>;

  /**
   * The restore point that is meant. Of a revision, and of `latest`, on the newest timeline that has a base; of a time,
   * on the newest one that has a point at or before it. Reads only the heads of what lies between base and point.
   * Rejects with a `PointUnavailableError`, and with `repository.not-found` where the timeline or the cluster is unknown.
   */
  find(cluster: string, query: PointQuery, options?: FindPointOptions): Promise<RestorePoint>;

  /**
   * What can no longer be restored once the backup is removed: from its revision up to the next base, where no earlier
   * base and unbroken segments reach that. Undefined: nothing is lost.
   */
  lostWithout(backup: BackupPlace, options?: CallOptions): Promise<LostPoints | undefined>;

  /** A check for a running capture, which asks it again and again: it remembers what it saw. */
  reachCheck(): ReachCheck;

  /** What is removed of a chain's segments. */
  trims(chain: ChainPlace, options?: CallOptions): Promise<TrimState>;

  /**
   * Has segments back that a trim removed (that of this number; all without one), until the sweep after their grace.
   * Resolves to what is still removed.
   */
  undoTrim(
    chain: ChainPlace,
    trim: number | undefined,
    request: RemovalRequest,
    options?: CallOptions,
  ): Promise<TrimState>;
}

/** Whether what a capture stored can still be restored. Its methods are called one at a time. */
export interface ReachCheck {
  /**
   * Whether the points up to `upTo` behind the newest base can be restored, as far as names, sizes, versions, heads and
   * some of the bodies tell. Lists names, and reads what was not seen before in this version, and the bodies of some
   * segments, others each time. What looks wrong is read once more before it is told. Rejects when the store can't be
   * read at the moment.
   */
  look(chain: ChainPlace, upTo: bigint, options?: ReachOptions): Promise<Reach>;
}

export interface ReachOptions extends CallOptions {
  /** Segments to read whole: so many bytes, and at least one. Default 0: none. */
  readonly bodyBytes?: number | undefined;
}

export interface Reach {
  /** Points up to here can be restored; 0 where there is no base. */
  readonly reached: bigint;
  /** What puts the points behind it out of reach; undefined where there are none. */
  readonly problem: GuardianError | undefined;
  /** Segments that carry the points. */
  readonly segments: number;
  readonly bytesRead: number;
}

/** What can be restored of one timeline. */
export interface TimelinePoints {
  readonly timeline: TimelineEntry;
  /** When the next timeline began; undefined for the newest one. */
  readonly endedAt: Date | undefined;
  /** Ranges that can be restored, and holes between them; newest first. */
  readonly spans: readonly PointSpan[];
  /** Times that can't be restored by, because a clock had stepped; newest first. */
  readonly doubtful: readonly DoubtfulTimes[];
  /** Backups that nothing is restored from: damaged ones, and those that differ from their member. Newest first. */
  readonly unusable: readonly BackupEntry[];
  /** Trims that can't be trusted; they hide nothing. */
  readonly problems: readonly GuardianError[];
}

export interface FindPointOptions extends CallOptions {
  /** Look on this timeline only. */
  readonly timeline?: string | undefined;
}

/** A restore point, and what makes it. */
export interface RestorePoint extends PointInTime {
  readonly cluster: string;
  readonly timeline: string;
  /** The newest one that can be used at or below the revision. */
  readonly base: SoundBackup;
  /**
   * What follows up to the revision, in order, each beginning at or before the end of the one before it, and the first
   * one at or before the base. None: the base is the point. Their heads tell the last one of their times only.
   */
  readonly segments: readonly StoredSegment[];
  /** With `latest`: backups that are newer and can't be used; say so. */
  readonly passedOver: readonly BackupEntry[];
  /** With `latest`: what is newer and can't be restored; say so. */
  readonly behind: Hole | undefined;
}
