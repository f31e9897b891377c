import type { Manifest, Proof } from '../lib/repository/manifest.ts';
import type { BackupEntry, SoundBackup } from '../lib/repository/repository.ts';
import { storedNodeFiles } from '../lib/restore/attachments/stored-node-files.ts';
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
    proof: proofValue(manifest),
    etcd: {
      ...manifest.etcd,
      clusterId: manifest.etcd.clusterId.toString(16),
      memberId: manifest.etcd.memberId.toString(16),
      leader: manifest.etcd.leader?.toString(16),
    },
    nodeFiles: storedNodeFiles(backup).map(({ node, content }) => ({ node, storedSize: content.storedSize })),
    attachmentsLeftOut: manifest.attachmentsLeftOut ?? null,
    labels: manifest.labels ?? {},
    removed: backup.removal !== undefined,
    warnings: backup.warnings.map(({ code, message }) => ({ code, message })),
  };
}

/** With ids as etcdctl prints them, and who was asked. */
function proofValue({ proof, etcd }: Manifest): Readonly<Record<string, unknown>> {
  if (proof.kind === 'none') return proof;
  const comparedWith = proof.memberId === etcd.memberId ? 'the member it came from' : 'another member';
  const outvoted = proof.kind === 'mismatch' ? [] : (proof.outvoted ?? []);
  return {
    ...proof,
    memberId: proof.memberId.toString(16),
    comparedWith,
    outvoted: outvoted.map((member) => ({ ...member, memberId: member.memberId.toString(16) })),
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

/** What shows that the snapshot, which came from member `sourceId`, equals a live member. */
export function proofText(proof: Proof, sourceId: bigint): string {
  switch (proof.kind) {
    case 'live-hashkv':
      return `proven: ${proof.endpoint} has the same HashKV ${proof.hash} at revision ${count(proof.revision)}${proverText(proof, sourceId)}`;
    case 'compaction-hashkv':
      return `proven: ${proof.endpoint} kept the same HashKV ${proof.hash} of its compaction, which covers all up to revision ${count(proof.revision)}${proverText(proof, sourceId)}`;
    case 'mismatch':
      return `DISPROVEN: ${proof.endpoint} has HashKV ${proof.hash}, the snapshot ${proof.fileHash}`;
    case 'none':
      return `not proven against a live member: ${proof.reason}`;
  }
}

/** How much a proof is worth, and who held different data. */
function proverText({ memberId, outvoted = [] }: EqualHash, sourceId: bigint): string {
  const itself =
    memberId === sourceId ? ' (compared with the member it came from: no other one answered)' : '';
  const others = outvoted.map(({ endpoint }) => endpoint).join(' and ');
  return others === '' ? itself : `${itself}; ${others} holds different data and must be replaced`;
}

type EqualHash = Extract<Proof, { readonly kind: 'live-hashkv' | 'compaction-hashkv' }>;

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

/** Of which nodes it has files, and what it should have and hasn't; undefined: nothing of either. */
export function nodeFilesText(backup: SoundBackup): string | undefined {
  const stored = storedNodeFiles(backup).map(
    ({ node, content }) => `of ${node} (${bytes(content.storedSize)}, encrypted)`,
  );
  const missing = backup.manifest.attachmentsLeftOut;
  const parts = [...stored, ...(missing === undefined ? [] : [`left out: ${missing}`])];
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** The first thing to read after a backup. */
export function backupLine(backup: SoundBackup, location: string): string {
  const { manifest } = backup;
  const keys = manifest.base.recipients.length > 0 ? 'encrypted' : 'NOT encrypted (no --key-file)';
  return `backup ${backup.id} of cluster ${backup.cluster}
  revision ${count(manifest.snapshot.revision)}, ${bytes(manifest.snapshot.totalSize)} → ${bytes(manifest.base.storedSize)} stored in ${location}, ${keys}
  ${proofText(manifest.proof, manifest.etcd.memberId)}
`;
}
