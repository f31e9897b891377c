import { Buffer } from 'node:buffer';
import { keyOf, valueOf } from '../../etcd/bolt/entry-batch.ts';
import { openBoltFile } from '../../etcd/bolt/reader.ts';
import { readWalTail, type WalTail } from '../../etcd/datadir/wal-tail.ts';
import { readMember } from '../../etcd/mvcc/membership.ts';
import type { SnapshotMember } from '../../etcd/mvcc/snapshot-verdict.ts';
import { readStoreRevisions } from '../../etcd/mvcc/store-revisions.ts';
import { type DeadMember, databaseOf, walOf } from './rescue-snapshot.ts';

/** What a member's files say at a glance; nothing is verified. */
export interface MemberAtAGlance {
  readonly revision: bigint;
  readonly members: readonly SnapshotMember[];
  /** Undefined where there is no log to be read. */
  readonly behind: WalTail | undefined;
}

/** Rejects as `openBoltFile` does: also where a running etcd changes the file meanwhile. */
export async function lookAtMember(member: DeadMember): Promise<MemberAtAGlance> {
  await using file = await openBoltFile(databaseOf(member));
  const { currentRevision } = await readStoreRevisions(file);
  const members: SnapshotMember[] = [];
  for await (const batch of file.entries('members')) {
    for (let at = 0; at < batch.count; at++) {
      const found = readMember(Buffer.from(keyOf(batch, at)), Buffer.from(valueOf(batch, at)));
      if (found !== undefined) members.push(found);
    }
  }
  const index = (await file.get('meta', Buffer.from('consistent_index')))?.readBigUInt64BE(0) ?? 0n;
  const behind = await readWalTail(walOf(member), index).catch(() => undefined);
  return { revision: currentRevision, members, behind };
}
