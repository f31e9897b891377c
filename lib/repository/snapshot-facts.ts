import type { GroupStatistics, LivePrefix, SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { keysNeeded } from '../keyspace/keys-needed.ts';
import type { BackupFacts, KeyStatistics } from './manifest.ts';

/** The part of a manifest that tells what the snapshot is. */
export function snapshotFacts(
  verdict: SnapshotVerdictData,
): Pick<BackupFacts, 'snapshot' | 'statistics' | 'encryptionAtRest'> {
  return {
    snapshot: {
      revision: verdict.revision,
      currentRevision: verdict.currentRevision,
      compactRevision: verdict.compactRevision,
      totalKeys: verdict.totalKeys,
      totalEntries: verdict.totalEntries,
      totalSize: verdict.totalSize,
      pageSize: verdict.pageSize,
      sha256: verdict.sha256,
      hash: verdict.hash,
      hashKV: {
        hash: verdict.hashKV,
        revision: verdict.currentRevision,
        compactRevision: verdict.compactRevision,
      },
      leases: verdict.leases,
      orphanLeases: verdict.orphanLeases,
      alarms: verdict.alarms.slice(0, ALARMS_IN_MANIFEST).map(({ memberId, alarm }) => ({
        memberId: BigInt(`0x${memberId}`),
        kind: alarm,
      })),
    },
    ...(verdict.statistics === undefined ? {} : { statistics: largestGroups(verdict.statistics) }),
    ...(verdict.valuePrefixes === undefined
      ? {}
      : { encryptionAtRest: encryptionAtRest(verdict.valuePrefixes) }),
  };
}

function encryptionAtRest(prefixes: readonly LivePrefix[]): BackupFacts['encryptionAtRest'] {
  return keysNeeded(prefixes).map(({ provider, key }) => ({ provider, key }));
}

const GROUPS_IN_MANIFEST = 50;
const ALARMS_IN_MANIFEST = 64;

function largestGroups(groups: readonly GroupStatistics[]): KeyStatistics {
  const bySize = [...groups].sort((a, b) => b.liveBytes + b.historyBytes - (a.liveBytes + a.historyBytes));
  return {
    groups: bySize
      .slice(0, GROUPS_IN_MANIFEST)
      .map((group) => ({ ...group, name: group.name.slice(0, 256) })),
    otherGroups: Math.max(0, bySize.length - GROUPS_IN_MANIFEST),
  };
}
