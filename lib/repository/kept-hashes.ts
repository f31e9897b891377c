import { type SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import { type RecordedHash } from './read-segments.ts';

/** Each takes a pass over what is kept of all entries: the newest ones suffice, as each covers what a compaction left. */
const MOST_CHECKED = 16;

/**
 * Of the hashes that members kept from compactions, those that the file has too, the newest last; those that it can't
 * have, because its history doesn't reach, are passed over. Throws `merge.hash-mismatch` for one that differs: the file
 * isn't what the cluster held.
 */
export function matchedHashes(
  verdict: Pick<SnapshotVerdict, 'hashKVAt' | 'compactRevision' | 'currentRevision'>,
  kept: readonly RecordedHash[],
): RecordedHash[] {
  const answerable = kept.filter(
    ({ revision, compactRevision }) =>
      compactRevision >= verdict.compactRevision &&
      revision >= compactRevision &&
      revision <= verdict.currentRevision,
  );
  const newest = answerable.sort((a, b) => Number(a.revision - b.revision)).slice(-MOST_CHECKED);
  for (const { hash, revision, compactRevision, memberId } of newest) {
    const found = verdict.hashKVAt({ revision, compactRevision });
    if (found === hash) continue;
    throw new GuardianError(
      'merge.hash-mismatch',
      `at revision ${revision} the merged history has HashKV ${found}, but member ${memberId.toString(16)} had ${hash}`,
      {
        hint: 'Members of the cluster may hold different data: compare "etcdctl endpoint hashkv --cluster". Choose a restore point before that revision, or another base.',
      },
    );
  }
  return newest;
}
