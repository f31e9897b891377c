import { type MemberStatus } from '../etcd/client/etcd-client.ts';
import {
  type Anchor,
  type GroupStatistics,
  type LivePrefix,
  type SnapshotVerdictData,
} from '../etcd/mvcc/snapshot-verdict.ts';
import { keysNeeded } from '../keyspace/keys-needed.ts';
import { type BackupFacts, type KeyStatistics, type Proof } from '../repository/manifest.ts';

/** What one backup knows of its source, beside the snapshot itself. */
export interface BackupSource {
  readonly status: MemberStatus;
  readonly memberName: string;
}

/** The part of a manifest that tells where a snapshot came from, what it is, and what shows it. */
export function backupFacts(
  source: BackupSource,
  verdict: SnapshotVerdictData,
  anchors: readonly Anchor[],
  proof: Proof,
): BackupFacts {
  const { status } = source;
  return {
    etcd: {
      clusterId: status.header.clusterId,
      memberId: status.header.memberId,
      memberName: fitting(source.memberName),
      endpoint: fitting(status.endpoint),
      serverVersion: fitting(status.version),
      raftTerm: status.header.raftTerm,
      ...(verdict.storageVersion === undefined ? {} : { storageVersion: fitting(verdict.storageVersion) }),
      ...(verdict.clusterVersion === undefined ? {} : { clusterVersion: fitting(verdict.clusterVersion) }),
      ...(status.leader === undefined ? {} : { leader: status.leader }),
    },
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
    anchors: [...anchors],
    proof: proof.kind === 'none' ? { ...proof, reason: fitting(proof.reason) } : proof,
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

/** What etcd or a proxy says may be of any length. */
function fitting(text: string): string {
  return text.slice(0, LONGEST_TEXT);
}

const LONGEST_TEXT = 1024;

function largestGroups(groups: readonly GroupStatistics[]): KeyStatistics {
  const bySize = [...groups].sort((a, b) => b.liveBytes + b.historyBytes - (a.liveBytes + a.historyBytes));
  return {
    groups: bySize
      .slice(0, GROUPS_IN_MANIFEST)
      .map((group) => ({ ...group, name: group.name.slice(0, 256) })),
    otherGroups: Math.max(0, bySize.length - GROUPS_IN_MANIFEST),
  };
}
