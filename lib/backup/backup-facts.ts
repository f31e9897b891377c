import type { MemberStatus } from '../etcd/client/etcd-client.ts';
import type { Anchor, SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import type { BackupFacts, Proof } from '../repository/manifest.ts';
import { snapshotFacts } from '../repository/snapshot-facts.ts';

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
    ...snapshotFacts(verdict),
    anchors: [...anchors],
    proof: proof.kind === 'none' ? { ...proof, reason: fitting(proof.reason) } : proof,
  };
}

/** What etcd or a proxy says may be of any length. */
function fitting(text: string): string {
  return text.slice(0, LONGEST_TEXT);
}

const LONGEST_TEXT = 1024;
