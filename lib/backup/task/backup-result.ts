import type { Proof } from '../../repository/manifest.ts';
import type { SoundBackup } from '../../repository/repository.ts';

export type TaskMode = 'FULL' | 'INCREMENTAL';

/** What came of a backup task; fields as in `BackupResult` of agent.proto. */
export interface BackupTaskResult {
  readonly location: string;
  readonly cluster: string;
  readonly point: { readonly timeline: string; readonly chain: string; readonly revision: bigint };
  readonly mode: TaskMode;
  /** Why a full one was made though an increment was asked for; else empty. */
  readonly modeReason: string;
  readonly snapshotBytes: number;
  readonly storedBytes: number;
  readonly endpoint: string;
  readonly memberId: bigint;
  readonly etcdVersion: string;
  readonly validation: TaskValidation;
  /** True: an earlier run of the same operation had made it. */
  readonly found: boolean;
  /** When the cluster was at that revision, about. */
  readonly pointTimeMs: number;
}

export interface TaskValidation {
  readonly verdict: 'Sound' | 'Skipped';
  readonly proof: 'LiveHash' | 'CompactionHash' | 'None';
  readonly proofMessage: string;
  readonly proofRevision: bigint;
  readonly hashKv: number;
  readonly compactRevision: bigint;
  readonly totalKeys: number;
  readonly sha256: string;
}

/** What a committed full backup is for whoever asked for it. */
export function resultOfBackup(
  location: string,
  { cluster, timeline, id, manifest }: SoundBackup,
  how: Pick<BackupTaskResult, 'modeReason' | 'found'>,
): BackupTaskResult {
  const { snapshot, base, etcd } = manifest;
  return {
    ...how,
    location,
    cluster,
    point: { timeline, chain: id, revision: snapshot.currentRevision },
    mode: 'FULL',
    snapshotBytes: snapshot.totalSize,
    storedBytes: base.storedSize,
    endpoint: etcd.endpoint,
    memberId: etcd.memberId,
    etcdVersion: etcd.serverVersion,
    validation: {
      verdict: 'Sound',
      ...provenBy(manifest.proof),
      hashKv: snapshot.hashKV.hash,
      compactRevision: snapshot.compactRevision,
      totalKeys: snapshot.totalKeys,
      sha256: snapshot.sha256,
    },
    pointTimeMs: manifest.createdAt.getTime(),
  };
}

function provenBy(proof: Proof): Pick<TaskValidation, 'proof' | 'proofMessage' | 'proofRevision'> {
  switch (proof.kind) {
    case 'live-hashkv':
      return { proof: 'LiveHash', proofMessage: outvotedText(proof), proofRevision: proof.revision };
    case 'compaction-hashkv':
      return { proof: 'CompactionHash', proofMessage: outvotedText(proof), proofRevision: proof.revision };
    case 'none':
      return { proof: 'None', proofMessage: proof.reason, proofRevision: 0n };
    case 'mismatch':
      return {
        proof: 'None',
        proofMessage: `${proof.endpoint} has another hash than the snapshot`,
        proofRevision: proof.revision,
      };
  }
}

/** Who held different data, and is in the minority. */
function outvotedText({ outvoted = [] }: EqualHash): string {
  if (outvoted.length === 0) return '';
  const others = outvoted.map(({ endpoint }) => endpoint).join(' and ');
  return `${others} holds different data and must be replaced`;
}

type EqualHash = Extract<Proof, { readonly kind: 'live-hashkv' | 'compaction-hashkv' }>;
