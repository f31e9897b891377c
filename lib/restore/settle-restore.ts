import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { Repository, SoundBackup } from '../repository/repository.ts';
import type { JoinedRestore } from '../repository/restore-record.ts';
import { isUnwritable } from '../repository/unwritable-store.ts';
import { refuseExisting, requireRoom } from './existing-dirs.ts';
import {
  planMembers,
  plannedBump,
  planRestore,
  type RestorePlan,
  type RestorePoint,
  type RestoreRequest,
} from './restore-plan.ts';

/** Where a restore is recorded: in the repository that its backup comes from. */
export interface RestoreRecording {
  readonly repository: Repository;
  readonly backup: SoundBackup;
  /** Given for a restore point behind the backup. */
  readonly revision?: bigint | undefined;
  /** Revisions at which kept hashes may differ, for the record. */
  readonly acceptedMismatches?: readonly bigint[] | undefined;
  /** Go on with the restore of this number, also when these members were made for it before. */
  readonly number?: number | undefined;
  /** Who restores, for the record. */
  readonly by: string;
}

/** A plan that every node of this restore comes to. */
export interface SettledPlan {
  readonly plan: RestorePlan;
  /** The record that it follows; undefined where none is kept. */
  readonly joined: JoinedRestore | undefined;
  /** For people; what could go wrong later. */
  readonly warnings: readonly string[];
}

/**
 * Settles what all members of a restore have in common, by the repository's record of restores, so that members of
 * this restore find each other and those of any other restore stay out. Without a `recording`, or where the store
 * can't be written, the plan follows from the restore point alone, with a warning.
 *
 * The dirs and their disks are looked at before anything is recorded: rejects with `restore.data-dir-exists` and
 * `restore.no-space`. If the restore fails afterwards, `joined.release` gives the members back.
 */
export async function settleRestore(
  request: RestoreRequest,
  point: RestorePoint,
  databaseBytes: number,
  recording: RestoreRecording | undefined,
  signal: AbortSignal | undefined,
): Promise<SettledPlan> {
  const { members, dirs } = planMembers(request);
  await refuseExisting(dirs);
  await requireRoom(dirs, databaseBytes);
  if (recording === undefined) return derived(request, point, 'of this restore no record is kept');
  const { repository, backup, revision, number, by, acceptedMismatches } = recording;
  const { cluster } = backup;
  try {
    const own = dirs.map(({ member }) => member.name);
    const { token, bump } = request;
    const firstRevision = (highWater: bigint): bigint | undefined =>
      plannedBump(bump, { ...point, highWater });
    const joined = await repository.joinRestore(
      { cluster, backup, revision, members, own, token, bump, firstRevision, number, by, acceptedMismatches },
      { signal },
    );
    return { plan: planRestore(request, point, joined.record), joined, warnings: warningsOf(joined, own) };
  } catch (error) {
    signal?.throwIfAborted();
    if (isUnwritable(error)) {
      return derived(request, point, `this restore can't be recorded in the store (${error.message})`);
    }
    throw unsettled(error);
  }
}

function derived(request: RestoreRequest, point: RestorePoint, why: string): SettledPlan {
  const plan = planRestore(request, point);
  const chosen = [
    ...(request.token === undefined ? ['--initial-cluster-token'] : []),
    ...(request.bump === 'auto' ? ['--bump-to'] : []),
  ];
  const warning = `${why}: its token and first revision follow from the data and the members alone. A second restore of this data for these members would repeat them, and members left over from this one could join it: before that, remove what this restore made, and give a new ${chosen.join(' and ')}`;
  return { plan, joined: undefined, warnings: chosen.length === 0 ? [] : [warning] };
}

function warningsOf(
  { record, claimed, apartFrom, warnings: problems }: JoinedRestore,
  own: readonly string[],
): string[] {
  const warnings = problems.map(
    (problem) => `a record of an earlier restore doesn't count: ${problem.message}`,
  );
  if (!claimed) {
    warnings.push(
      `the store can't be written, so restore ${record.number} doesn't show that ${own.join(', ')} is made here: don't make it again for that restore`,
    );
  }
  if (apartFrom === undefined) return warnings;
  const { number, members, claimed: made } = apartFrom.record;
  const others = made.filter((name) => !own.includes(name));
  if (others.length > 0 && made.length < members.length) {
    const sameBackup = apartFrom.record.backup === record.backup;
    const finish = sameBackup ? `, or finish that one with --join-restore ${number}` : '';
    warnings.push(
      `restore ${number} was left unfinished, and this is another one (${apartFrom.why}). What was made for it can't join this one: restore ${others.join(', ')} again${finish}`,
    );
  }
  return warnings;
}

/** The store reads but fails to write for now: it may be that only reading will work tonight. */
function unsettled(error: unknown): unknown {
  if (!(error instanceof GuardianError) || !error.code.startsWith('store.') || !error.retryable) return error;
  return new GuardianError(error.code, `the restore can't be recorded in the store: ${reasonOf(error)}`, {
    hint: 'try again; with --no-record the restore goes on without, if all nodes are restored that way',
    retryable: true,
    cause: error,
  });
}
