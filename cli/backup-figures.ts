import { type Proof } from '../lib/repository/manifest.ts';
import { type BackupEntry, type SoundBackup } from '../lib/repository/repository.ts';
import { bytes, count } from './output.ts';

/** A committed backup as the commands print it in JSON. */
export function backupValue(backup: SoundBackup, location: string): Readonly<Record<string, unknown>> {
  const { manifest } = backup;
  return {
    id: backup.id,
    cluster: backup.cluster,
    timeline: backup.timeline,
    location: `${location}/${manifest.base.name.slice(0, manifest.base.name.lastIndexOf('/'))}`,
    revision: manifest.snapshot.revision,
    compactRevision: manifest.snapshot.compactRevision,
    createdAt: manifest.createdAt,
    completedAt: manifest.completedAt,
    totalKeys: manifest.snapshot.totalKeys,
    totalSize: manifest.snapshot.totalSize,
    storedSize: manifest.base.storedSize,
    hash: manifest.snapshot.hash,
    hashKV: manifest.snapshot.hashKV,
    sha256: manifest.snapshot.sha256,
    encrypted: manifest.base.recipients.length > 0,
    recipients: manifest.base.recipients,
    proof: manifest.proof,
    etcd: {
      ...manifest.etcd,
      clusterId: manifest.etcd.clusterId.toString(16),
      memberId: manifest.etcd.memberId.toString(16),
      leader: manifest.etcd.leader?.toString(16),
    },
    labels: manifest.labels ?? {},
    removed: backup.removal !== undefined,
    warnings: backup.warnings.map(({ code, message }) => ({ code, message })),
  };
}

/** Any listed backup in JSON; a damaged one with its reason. */
export function entryValue(entry: BackupEntry, location: string): Readonly<Record<string, unknown>> {
  if (entry.state === 'sound') return { state: entry.state, ...backupValue(entry, location) };
  const { id, cluster, timeline, problem } = entry;
  return {
    state: entry.state,
    id,
    cluster,
    timeline,
    problem: { code: problem.code, message: problem.message },
  };
}

export function proofText(proof: Proof): string {
  switch (proof.kind) {
    case 'live-hashkv':
      return `proven: ${proof.endpoint} has the same HashKV ${proof.hash} at revision ${count(proof.revision)}`;
    case 'compaction-hashkv':
      return `proven: ${proof.endpoint} kept the same HashKV ${proof.hash} of its compaction at revision ${count(proof.revision)}`;
    case 'mismatch':
      return `DISPROVEN: ${proof.endpoint} has HashKV ${proof.hash}, the snapshot ${proof.fileHash}`;
    case 'none':
      return `not proven against a live member: ${proof.reason}`;
  }
}

/** What a table's cell says of the proof. */
export function proofWord(proof: Proof): string {
  switch (proof.kind) {
    case 'live-hashkv':
    case 'compaction-hashkv':
      return 'proven';
    case 'mismatch':
      return 'DISPROVEN';
    case 'none':
      return 'unproven';
  }
}

/** The first thing to read after a backup. */
export function backupLine(backup: SoundBackup, location: string): string {
  const { manifest } = backup;
  const keys = manifest.base.recipients.length > 0 ? 'encrypted' : 'NOT encrypted (no --key-file)';
  return `backup ${backup.id} of cluster ${backup.cluster}
  revision ${count(manifest.snapshot.revision)}, ${bytes(manifest.snapshot.totalSize)} → ${bytes(manifest.base.storedSize)} stored in ${location}, ${keys}
  ${proofText(manifest.proof)}
`;
}
