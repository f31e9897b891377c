/**
 * How far a member has come in a restore, as agent.proto has it. A name in -ing is the intent, on disk before anything is
 * done; what follows it says that it was done.
 */
export const RESTORE_STATES = [
  ...['Staging', 'Staged', 'Quiescing', 'Quiesced', 'Swapping', 'Swapped', 'Starting', 'Started'],
  ...['Verifying', 'Verified', 'Committed', 'Resuming', 'Resumed'],
  ...['RollingBack', 'RolledBack', 'CleanedUp', 'Failed'],
] as const;

export type RestoreStateName =
  | ('Staging' | 'Staged' | 'Quiescing' | 'Quiesced' | 'Swapping' | 'Swapped' | 'Starting' | 'Started')
  | ('Verifying' | 'Verified' | 'Committed' | 'Resuming' | 'Resumed')
  | ('RollingBack' | 'RolledBack' | 'CleanedUp' | 'Failed');

/** Where a restore stands on one member, as far as others must know. */
export type RestoreStage =
  /** Nothing was stopped: giving up costs nothing. */
  | 'before'
  /** Something was stopped or changed, and it can be taken back. */
  | 'open'
  /** For good: only forward from here. */
  | 'committed'
  | 'going-back'
  /** Nothing will happen any more. */
  | 'over';

export function stageOf(state: RestoreStateName): RestoreStage {
  switch (state) {
    case 'Staging':
    case 'Staged':
      return 'before';
    case 'Quiescing':
    case 'Quiesced':
    case 'Swapping':
    case 'Swapped':
    case 'Starting':
    case 'Started':
    case 'Verifying':
    case 'Verified':
      return 'open';
    case 'Committed':
    case 'Resuming':
      return 'committed';
    case 'RollingBack':
      return 'going-back';
    case 'Resumed':
    case 'RolledBack':
    case 'CleanedUp':
    case 'Failed':
      return 'over';
  }
}

/** What a node has decided for good, if it has. */
export type Fate =
  /** It has not said yes yet: nobody can have committed. */
  | 'open'
  /** It has said yes, and others may have committed since: it can't go back alone. */
  | 'voted'
  /** It never goes back. */
  | 'committed'
  /** It never commits. */
  | 'aborted';

/** `committedMs`: 0 or undefined where it never committed; it tells what a node was through when it cleaned up. */
export function fateOf(state: RestoreStateName, committedMs: number | undefined): Fate {
  switch (state) {
    case 'Verified':
      return 'voted';
    case 'Committed':
    case 'Resuming':
    case 'Resumed':
      return 'committed';
    case 'RollingBack':
    case 'RolledBack':
    case 'Failed':
      return 'aborted';
    case 'CleanedUp':
      return (committedMs ?? 0) > 0 ? 'committed' : 'aborted';
    default:
      return 'open';
  }
}

/** What an agent said, if this program knows it. */
export function restoreStateName(text: string): RestoreStateName | undefined {
  return (RESTORE_STATES as readonly string[]).includes(text) ? (text as RestoreStateName) : undefined;
}

const FORWARD: readonly RestoreStateName[] = [
  ...(['Staging', 'Staged', 'Quiescing', 'Quiesced', 'Swapping', 'Swapped'] as const),
  ...(['Starting', 'Started', 'Verifying', 'Verified', 'Committed', 'Resuming', 'Resumed'] as const),
];

/** True when `state` is `wanted`, or lies behind it on the way forward. */
export function hasReached(state: RestoreStateName, wanted: RestoreStateName): boolean {
  const at = FORWARD.indexOf(state);
  return at >= 0 && at >= FORWARD.indexOf(wanted);
}
