import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import type { RecordedHash } from './read-segments.ts';

/** Each takes a pass over what is kept of all entries: the newest ones suffice, as each covers what a compaction left. */
const MOST_CHECKED = 16;

/** A hash that a member kept, and that the file hasn't. */
export interface DifferingHash extends RecordedHash {
  /** The file's own. */
  readonly found: number;
}

/** What the hashes that members kept from compactions say of a file. */
export interface HashJudgement {
  /** Those that the file has too, the newest last. */
  readonly matched: readonly RecordedHash[];
  /** Those of a minority, while most members kept the file's: these members' data is wrong. */
  readonly outvoted: readonly DifferingHash[];
  /** Those at revisions where a person accepted it. */
  readonly disregarded: readonly DifferingHash[];
}

/**
 * Compares a file with the hashes that members kept from compactions; those that it can't have, because its history
 * doesn't reach, are passed over. At each revision each member has one voice, and the file stands when more members
 * kept its hash than another one.
 *
 * Throws `merge.hash-mismatch` where they don't: the file isn't what the cluster held, or a member is wrong, which only
 * a person can tell. `accepted` names the revisions at which that is disregarded.
 */
export function judgeHashes(
  verdict: Pick<SnapshotVerdict, 'hashKVAt' | 'compactRevision' | 'currentRevision'>,
  kept: readonly RecordedHash[],
  accepted: readonly bigint[] = [],
): HashJudgement {
  const matched: RecordedHash[] = [];
  const outvoted: DifferingHash[] = [];
  const disregarded: DifferingHash[] = [];
  const contradicting: DifferingHash[] = [];
  for (const hashes of newestRevisions(kept.filter((one) => canAnswer(verdict, one)))) {
    const { agreeing, differing } = voicesOf(verdict, hashes);
    matched.push(...agreeing);
    if (agreeing.length > differing.length) outvoted.push(...differing);
    else if (accepted.includes(differing[0]?.revision ?? -1n)) disregarded.push(...differing);
    else contradicting.push(...differing);
  }
  if (contradicting.length > 0) throw mismatch(contradicting);
  return { matched, outvoted, disregarded };
}

/** Whether a file's history reaches so far that it can tell the hash. */
export function canAnswer(
  file: Pick<SnapshotVerdict, 'compactRevision' | 'currentRevision'>,
  { revision, compactRevision }: Pick<RecordedHash, 'revision' | 'compactRevision'>,
): boolean {
  return (
    compactRevision >= file.compactRevision && revision >= compactRevision && revision <= file.currentRevision
  );
}

/** By their revisions, ascending. */
function newestRevisions(hashes: readonly RecordedHash[]): RecordedHash[][] {
  const byRevision = new Map<bigint, RecordedHash[]>();
  for (const hash of hashes) byRevision.set(hash.revision, [...(byRevision.get(hash.revision) ?? []), hash]);
  const ascending = [...byRevision].sort(([a], [b]) => (a < b ? -1 : 1));
  return ascending.slice(-MOST_CHECKED).map(([, each]) => each);
}

/** One voice for each member; one that contradicts itself differs. */
function voicesOf(
  verdict: Pick<SnapshotVerdict, 'hashKVAt'>,
  hashes: readonly RecordedHash[],
): { agreeing: RecordedHash[]; differing: DifferingHash[] } {
  const found = new Map<bigint, number>();
  const agreeing = new Map<bigint, RecordedHash>();
  const differing = new Map<bigint, DifferingHash>();
  for (const hash of hashes) {
    const { revision, compactRevision, memberId } = hash;
    const own = found.get(compactRevision) ?? verdict.hashKVAt({ revision, compactRevision });
    found.set(compactRevision, own);
    if (own === hash.hash) agreeing.set(memberId, hash);
    else differing.set(memberId, { ...hash, found: own });
  }
  for (const memberId of differing.keys()) agreeing.delete(memberId);
  return { agreeing: [...agreeing.values()], differing: [...differing.values()] };
}

function mismatch(differing: readonly DifferingHash[]): GuardianError {
  const said = differing.map(textOf).join('; ');
  const revisions = [...new Set(differing.map(({ revision }) => revision))];
  const accept = revisions.map((revision) => `--accept-hash-mismatch ${revision}`).join(' ');
  return new GuardianError('merge.hash-mismatch', said, {
    hint: `Members of the cluster may hold different data: compare "etcdctl endpoint hashkv --cluster". Choose a restore point before that revision, or another base. Where it is known that the member was wrong, restore and points export go on with ${accept}.`,
  });
}

/** What differs, in words. */
export function textOf({ revision, found, hash, memberId }: DifferingHash): string {
  return `at revision ${revision} the merged history has HashKV ${found}, but member ${memberId.toString(16)} had ${hash}`;
}
