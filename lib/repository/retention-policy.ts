import type { BackupEntry } from './backup-entry.ts';
import type { ChainPlace } from './chain.ts';
import type { PointInTime } from './point-spans.ts';

/**
 * What to keep. The limits (`maxBackups`, `maxAgeMs`) say what goes in any case; of the rest, where any `keep…` is
 * given, stays what one of them keeps, and else everything. What a kept restore point needs stays with it: its base, and
 * the segments between. Whatever is said here, the newest restore point stays.
 */
export interface RetentionPolicy {
  /** Good ones to keep at most, and restore points from the oldest of them on. */
  readonly maxBackups?: number | undefined;
  readonly maxAgeMs?: number | undefined;
  /** Every restore point that is younger. */
  readonly keepWithinMs?: number | undefined;
  /** So many of the newest bases. */
  readonly keepLast?: number | undefined;
  /**
   * Of the newest so many hours (UTC) that hold any restore point, one: the newest base in it, or where it has none, the
   * end of the newest segment.
   */
  readonly keepHourly?: number | undefined;
  readonly keepDaily?: number | undefined;
  /** From Monday on. */
  readonly keepWeekly?: number | undefined;
  readonly keepMonthly?: number | undefined;
  /**
   * Left out: all backups of the cluster. Given: only those that carry all of these, e.g. those of one schedule; then no
   * segments are removed, since they serve the backups of all schedules.
   */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface RetentionPlan {
  /** Backups that stay, and those that go; newest first. */
  readonly keep: readonly RetentionDecision[];
  readonly remove: readonly RetentionDecision[];
  /** What happens to segments: stretches of a chain that have one fate for one reason, newest first. */
  readonly segments: readonly SegmentsDecision[];
  /** The single restore points that rules chose, newest first; `keepWithinMs` and limits keep all points of a time. */
  readonly points: readonly KeptPoint[];
}

export interface RetentionDecision {
  readonly backup: BackupEntry;
  /** For people. */
  readonly reason: string;
}

export interface SegmentsDecision {
  readonly action: 'keep' | 'trim';
  readonly chain: ChainPlace;
  /** Revisions in the segments' names: from `from` on, below `to`. */
  readonly from: bigint;
  readonly to: bigint;
  readonly segments: number;
  /** As stored. */
  readonly bytes: number;
  /** For people. */
  readonly reason: string;
}

export interface KeptPoint extends PointInTime {
  readonly timeline: string;
  /** For people, e.g. `hour 2026-11-22T05`. */
  readonly reasons: readonly string[];
}
