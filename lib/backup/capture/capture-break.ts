import { GuardianError } from '../../guardian-error.ts';
import type { SegmentFacts } from '../../repository/chain.ts';
import type { TimelineReason } from '../../repository/pick-timeline.ts';

/** Why a history can't be followed without a hole. */
export type BreakKind =
  /** etcd dropped revisions that were not captured yet. */
  | 'compacted'
  /** Another etcd cluster answers. */
  | 'other-cluster'
  /** The whole cluster shows a lower revision than was captured. */
  | 'went-back'
  /** What was captured isn't what the cluster holds at that revision. */
  | 'history-differs'
  /** etcd passed over a revision. */
  | 'revision-missing'
  /** The store was away for so long that what waited for it had to be given up. */
  | 'buffer-full'
  /** The chain in the store can't be extended any more. */
  | 'chain-unusable'
  /** Something that can't be stored as a segment. */
  | 'unstorable';

/**
 * Capture can't go on from where it is: what lies between here and the next base is a gap, and the message is its
 * reason. Its code is `capture.` and the kind.
 */
export class CaptureBreak extends GuardianError {
  readonly kind: BreakKind;

  constructor(kind: BreakKind, message: string, cause?: unknown) {
    super(`capture.${kind}`, message, {
      hint: 'A new base is taken by itself, and capture goes on from there; restore points in the gap are lost.',
      cause,
    });
    this.kind = kind;
  }
}

/** What a chain's first segment tells of the hole before it; a long reason is cut, so that it can always be stored. */
export function gapFact({ after, reason }: NonNullable<SegmentFacts['gap']>): SegmentFacts['gap'] {
  return {
    after,
    reason: reason.length <= LONGEST_REASON ? reason : `${reason.slice(0, LONGEST_REASON - 1)}…`,
  };
}

/** Characters; see the head's schema. */
const LONGEST_REASON = 1024;

/** Why what follows a break is another history, where the break itself says so. */
export function otherHistory({ kind }: CaptureBreak): OtherHistory | undefined {
  if (kind === 'went-back') return 'revision-went-back';
  return kind === 'history-differs' ? kind : undefined;
}

export type OtherHistory = Extract<TimelineReason, 'revision-went-back' | 'history-differs'>;
