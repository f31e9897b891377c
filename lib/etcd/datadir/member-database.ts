import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import { type BucketEdit, editBoltFile } from '../bolt/editor.ts';
import { batchOf, type EntryBatch, keyOf } from '../bolt/entry-batch.ts';
import { type BoltFile, openBoltFile } from '../bolt/reader.ts';
import { batchOfBucket, readSmallBucket } from '../bolt/small-bucket.ts';
import { decodeRevisionKey, encodeRevisionKey } from '../mvcc/revision.ts';
import { readStoreRevisions } from '../mvcc/store-revisions.ts';
import { type ClusterIdentity, idText } from './member-identity.ts';
import { memberJson } from './member-json.ts';
import type { VersionEdits } from './version-rules.ts';

export interface MemberDatabaseOptions {
  /** The revision to begin after, with all below it marked as compacted; left out: go on from the newest there is. */
  readonly bumpTo?: bigint | undefined;
  /** Alarms that a snapshot brings along keep a cluster from writing. Default true. */
  readonly clearAlarms?: boolean | undefined;
  readonly versionEdits?: VersionEdits | undefined;
  /**
   * Further entries of bucket `key`, in order, above all that the file has and below `bumpTo`, which must be given. Made
   * from the file as it came; `currentRevision` is what an etcd started from it would be at.
   */
  readonly onTop?: ((file: BoltFile, currentRevision: bigint) => Promise<EntryBatch>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Turns a copy of a snapshot's database into the one that a new member of this cluster starts with; equal for all of
 * its members. Resolves to the store's current revision. Rejects with `restore.bump-too-low` when there are revisions
 * at or above `bumpTo`, and as `onTop` does.
 */
export async function adoptDatabase(
  path: string,
  cluster: ClusterIdentity,
  options: MemberDatabaseOptions = {},
): Promise<bigint> {
  const { bumpTo, clearAlarms = true, versionEdits = {}, signal } = options;
  const edits = new Map<string, BucketEdit>();
  let revision: bigint;
  {
    await using file = await openBoltFile(path);
    const meta = await readSmallBucket(file, 'meta');
    const { currentRevision } = await readStoreRevisions(file);
    revision = bumpTo ?? currentRevision;
    if (bumpTo !== undefined) {
      const onTop = await options.onTop?.(file, currentRevision);
      const last = lastMain(onTop) ?? currentRevision;
      if (bumpTo <= last) throw bumpTooLow(bumpTo, last);
      const bump = encodeRevisionKey({ main: bumpTo, sub: 0n });
      // An entry without any content: no key can reach it, but the next revision is above it.
      const bumped = batchOf([[bump, Buffer.alloc(0)]]);
      edits.set('key', { append: onTop === undefined || onTop.count === 0 ? [bumped] : [onTop, bumped] });
      meta.set('scheduledCompactRev', bump);
    }
    // The log that goes with this database ends at entry n, of term 1.
    meta.set('consistent_index', uint64(BigInt(cluster.members.length)));
    meta.set('term', uint64(1n));
    if (versionEdits.dropStorageVersion === true) meta.delete('storageVersion');
    edits.set('meta', { replace: [batchOfBucket(meta)] });
    if (versionEdits.clusterVersion !== undefined) {
      const inCluster = await readSmallBucket(file, 'cluster');
      inCluster.set('clusterVersion', Buffer.from(versionEdits.clusterVersion));
      edits.set('cluster', { replace: [batchOfBucket(inCluster)] });
    }
    if (clearAlarms && file.bucketNames.includes('alarm')) edits.set('alarm', { replace: [] });
    if (!file.bucketNames.includes('key')) edits.set('key', edits.get('key') ?? { replace: [] });
  }
  const members = cluster.members.map(
    (member) => [idText(member.id), Buffer.from(memberJson(member))] as const,
  );
  edits.set('members', { replace: [batchOfBucket(new Map(members))] });
  edits.set('members_removed', { replace: [] });
  await editBoltFile(path, edits, signal);
  return revision;
}

function lastMain(batch: EntryBatch | undefined): bigint | undefined {
  return batch === undefined || batch.count === 0
    ? undefined
    : decodeRevisionKey(keyOf(batch, batch.count - 1))?.main;
}

function bumpTooLow(bumpTo: bigint, currentRevision: bigint): GuardianError {
  return new GuardianError(
    'restore.bump-too-low',
    `can't begin at revision ${bumpTo}: the snapshot is at ${currentRevision} already`,
    { hint: 'Choose a revision above everything that the cluster has ever served.' },
  );
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
