import { GuardianError } from '../guardian-error.ts';
import type { JoinRequest, RestoredMember, RestoreRecord } from './restore-record.ts';

/** What a run shall take part in: a restore that was begun, or a new one, apart from the one named. */
export type RestoreChoice =
  | { readonly kind: 'join'; readonly record: RestoreRecord }
  | {
      readonly kind: 'begin';
      readonly apartFrom: { readonly record: RestoreRecord; readonly why: string } | undefined;
    };

/** So long after it began, a restore is joined by the runs on the other nodes. */
export const JOIN_WITHIN_MS = 24 * 60 * 60 * 1000;

/**
 * Of the restores to the same members only the newest can be joined: what came later has revisions above it. It is
 * joined while it is young (by clocks that may differ, in either direction), restores the same backup, was begun with
 * what is asked for, and none of the run's own members was made for it. Throws `repository.not-found` and
 * `repository.other-restore` for a number that was asked for and can't be joined.
 */
export function chooseRestore(
  /** Oldest first. */
  records: readonly RestoreRecord[],
  request: JoinRequest,
  now: Date,
): RestoreChoice {
  if (request.number !== undefined) return { kind: 'join', record: numbered(records, request) };
  const record = records.findLast(({ members }) => sameMembers(members, request.members));
  if (record === undefined) return { kind: 'begin', apartFrom: undefined };
  const why = obstacle(record, request) ?? madeAlready(record, request) ?? tooOld(record, now);
  return why === undefined ? { kind: 'join', record } : { kind: 'begin', apartFrom: { record, why } };
}

function numbered(records: readonly RestoreRecord[], request: JoinRequest): RestoreRecord {
  const { cluster, number } = request;
  const record = records.find((one) => one.number === number);
  if (record === undefined) {
    throw new GuardianError(
      'repository.not-found',
      `cluster ${cluster} has no restore ${number} that can be read`,
      {
        hint: 'Leave the number out: the restore that is under way is found by itself.',
      },
    );
  }
  const why = sameMembers(record.members, request.members)
    ? obstacle(record, request)
    : `it is of other members: ${record.members.map(({ name, peerUrls }) => `${name}=${peerUrls.join('+')}`).join(', ')}`;
  if (why === undefined) return record;
  throw new GuardianError('repository.other-restore', `this can't be part of restore ${number}: ${why}`, {
    hint: 'All members of a restore are made from one backup with the same options. Leave the number out to begin a new one.',
  });
}

function obstacle(record: RestoreRecord, request: JoinRequest): string | undefined {
  if (record.backup !== request.backup.id) return `it restores backup ${record.backup}`;
  if (record.revision !== request.revision) {
    return `it restores ${record.revision === undefined ? 'the backup alone' : `revision ${record.revision}`}`;
  }
  const { acceptedMismatches = [] } = record;
  const unsaid = request.acceptedMismatches?.find((revision) => !acceptedMismatches.includes(revision));
  if (unsaid !== undefined) return `it was begun without --accept-hash-mismatch ${unsaid}`;
  if (request.token !== undefined && request.token !== record.token) return `its token is ${record.token}`;
  const asked = request.bump === 'none' ? undefined : request.bump;
  if (asked === 'auto' || asked === record.bumpTo) return undefined;
  return record.bumpTo === undefined
    ? 'its revisions go on as backed up'
    : `its revisions start at ${record.bumpTo}`;
}

function madeAlready(record: RestoreRecord, { own }: JoinRequest): string | undefined {
  const made = own.filter((name) => record.claimed.includes(name));
  return made.length === 0
    ? undefined
    : `${made.join(', ')} ${made.length === 1 ? 'was' : 'were'} made for it`;
}

function tooOld(record: RestoreRecord, now: Date): string | undefined {
  const age = Math.abs(now.getTime() - record.begunAt.getTime());
  return age < JOIN_WITHIN_MS
    ? undefined
    : `it was begun more than ${JOIN_WITHIN_MS / 3_600_000} hours from now`;
}

/** As etcd sees it: neither the members' order nor that of their URLs matters. */
function sameMembers(a: readonly RestoredMember[], b: readonly RestoredMember[]): boolean {
  return canonical(a) === canonical(b);
}

function canonical(members: readonly RestoredMember[]): string {
  const each = members.map(({ name, peerUrls }) => JSON.stringify([name, ...peerUrls.toSorted()]));
  return JSON.stringify(each.sort());
}
