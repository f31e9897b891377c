import { createReadStream } from 'node:fs';
import { verifySnapshotFile } from '../../lib/etcd/mvcc/verify-snapshot-file.ts';
import { ENCRYPTED_VALUES } from '../../lib/keyspace/keys-needed.ts';
import type { ChainTail, SegmentLog } from '../../lib/repository/chain.ts';
import type { Repository, SnapshotHistory, SoundBackup } from '../../lib/repository/repository.ts';
import { snapshotFacts } from '../../lib/repository/snapshot-facts.ts';
import { type SegmentExtras, startSegment } from '../../lib/repository/start-segment.ts';
import type { BaseOptions, MadeHistory } from './made-history.ts';
import { ETCD_CLUSTER } from './repository.ts';
import { CAPTURE } from './segments.ts';
import { temporaryFolder } from './temporary-folder.ts';

/**
 * Stores what a made history was at a revision as a backup of cluster `prod`; `known` is what is told of its entries
 * when it is compared with earlier backups.
 */
export async function backUpHistory(
  repository: Repository,
  history: MadeHistory,
  options: BaseOptions = {},
  known?: SnapshotHistory,
): Promise<SoundBackup> {
  await using folder = await temporaryFolder();
  const path = folder.join('base.db');
  await history.writeBase(path, options);
  const verdict = await verifySnapshotFile(path, { trailer: 'required', valuePrefixes: ENCRYPTED_VALUES });
  const writer = await repository.beginBackup({
    cluster: 'prod',
    etcdClusterId: ETCD_CLUSTER,
    clusterRevision: verdict.currentRevision,
  });
  await writer.putBase(createReadStream(path));
  const etcd = {
    ...{ clusterId: ETCD_CLUSTER, memberId: 1n, memberName: 'm1', endpoint: 'https://10.0.0.1:2379' },
    ...{ serverVersion: '3.6.16', raftTerm: 2n },
  };
  const proof = { kind: 'none', reason: 'a test' } as const;
  return await writer.commit(
    { etcd, ...snapshotFacts(verdict), anchors: verdict.sampleLiveEntries(8), proof },
    known ?? verdict,
  );
}

/** Appends segments that end at these revisions with what a made history has for them; resolves to the new tail. */
export async function captureHistory(
  log: SegmentLog,
  tail: ChainTail,
  history: MadeHistory,
  ends: readonly bigint[],
  extras: Partial<SegmentExtras> & { readonly from?: bigint } = {},
): Promise<ChainTail> {
  let last = tail;
  for (const to of ends) {
    const from = last.last === undefined ? (extras.from ?? last.revision) : last.revision;
    const builder = startSegment({ from, writer: CAPTURE, clock: () => new Date() });
    for (const { main, value, tombstone } of history.entries) {
      if (main > from && main <= to) builder.add(main, value, tombstone);
    }
    builder.endRevision();
    const nothing = { complete: false, granted: [], gone: [] };
    const draft = await builder.finish({ leases: nothing, proofs: [], gap: undefined, ...extras });
    last = await log.append(last, draft);
  }
  return last;
}
