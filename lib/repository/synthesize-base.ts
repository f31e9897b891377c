import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { diskError } from '../etcd/durable-file.ts';
import { SnapshotDigest } from '../etcd/mvcc/snapshot-digest.ts';
import type { SnapshotVerdict } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import { ENCRYPTED_VALUES } from '../keyspace/keys-needed.ts';
import { keyGrouping } from '../keyspace/key-grouping.ts';
import { ownAttachmentName } from './layout.ts';
import type { CallOptions } from './call-options.ts';
import type { BackupFacts, Manifest, Proof } from './manifest.ts';
import type { BackupWriter, Repository, SoundBackup } from './repository.ts';
import type { DifferingHash } from './kept-hashes.ts';
import { scratchFolder } from './scratch-folder.ts';
import { snapshotFacts } from './snapshot-facts.ts';
import {
  type PointParts,
  type PointProgress,
  type PointSources,
  writeRestorePoint,
  type WrittenPoint,
} from './write-restore-point.ts';

/** A base to be made; its revision is best the end of a segment. */
export interface SynthesisRequest extends PointParts {
  /** As in `WritePointOptions`. */
  readonly compactAt?: bigint | undefined;
  readonly retainUntil?: Date | undefined;
  readonly labels?: Manifest['labels'];
  readonly requester?: Manifest['requester'];
}

export interface SynthesisTools extends CallOptions {
  readonly repository: Pick<Repository, 'beginBackup' | 'readAttachment'> & PointSources['repository'];
  readonly log: PointSources['log'];
  /** Where the merged file is made, which takes room for all of it, unencrypted (mode 0600), until this is over. */
  readonly folder: string;
  readonly onProgress?: ((progress: PointProgress | StoringProgress) => void) | undefined;
}

export interface StoringProgress {
  readonly step: 'storing';
  /** Bytes. */
  readonly done: number;
  readonly total: number;
}

/**
 * Makes a new base out of an old one and the segments behind it, on the same timeline, so that later restore points need
 * fewer of them. It says what it was made from, and it counts as proven where a member had kept a hash of the merged
 * history. Alarms are left out: they are no part of the data.
 *
 * Rejects as `writeRestorePoint`, `beginBackup` and `commit` do, with `repository.other-timeline` where the cluster went
 * on with another one, and with `merge.nothing` where the base is at the revision already. Nothing is listed then, and
 * nothing is left on disk.
 */
export async function synthesizeBase(request: SynthesisRequest, tools: SynthesisTools): Promise<SoundBackup> {
  const { base, revision, retainUntil } = request;
  const { repository, signal } = tools;
  const { snapshot, etcd } = base.manifest;
  if (revision <= snapshot.currentRevision) throw nothingToMerge(base, revision);

  // 1. Only where the timeline still goes on.
  const begin = {
    ...{ cluster: base.cluster, etcdClusterId: etcd.clusterId, onTimeline: base.timeline },
    ...{ clusterRevision: revision, retainUntil },
  };
  await repository.beginBackup(begin, { signal });

  await using folder = await scratchFolder(tools.folder, 'merge');
  // 2. Merge, verify, compare with what members had kept.
  const path = join(folder.path, 'merged.db');
  const written = await writeRestorePoint(tools, request, path, {
    ...{ signal, compactAt: request.compactAt, clearAlarms: true, onProgress: tools.onProgress },
    ...{ grouping: keyGrouping(), valuePrefixes: ENCRYPTED_VALUES },
  });

  // 3. Store it as any other backup.
  const writer = await repository.beginBackup(begin, { signal });
  try {
    await writer.putBase(fileBytes(path, written.verdict, tools), { signal });
    await passOn(base, writer, tools);
    return await writer.commit(factsOf(request, written), written.verdict, { signal });
  } catch (error) {
    await discard(writer);
    throw error;
  }
}

/** How many entries recognise a history again; see `Anchor`. */
const ANCHORS = 64;
/** Tidying up after a failure may take this long; what is left is swept later. */
const DISCARD_MS = 15_000;

/** The merged file once more, which must be what was verified. */
async function* fileBytes(
  path: string,
  { sha256, size }: SnapshotVerdict,
  { signal, onProgress }: SynthesisTools,
): AsyncGenerator<Uint8Array, void> {
  const digest = new SnapshotDigest();
  let done = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
      const bytes = chunk as Buffer;
      digest.update(bytes);
      yield bytes;
      done += bytes.length;
      onProgress?.({ step: 'storing', done, total: size });
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw diskError(error, `reading ${path}`);
  }
  if (digest.finish().sha256 === sha256) return;
  throw new GuardianError('merge.unsound', `${path} reads back differently from how it was verified`, {
    hint: 'This disk does not give back what was written to it: merge on another one.',
  });
}

/** Files of nodes are no older for being stored again, and retention may take the old base away. */
async function passOn(base: SoundBackup, writer: BackupWriter, tools: SynthesisTools): Promise<void> {
  const { repository, signal } = tools;
  for (const attachment of base.manifest.attachments) {
    const name = ownAttachmentName(attachment.name);
    await writer.putAttachment(name, repository.readAttachment(base, name, { signal }), { signal });
  }
}

function factsOf({ base, labels, requester }: SynthesisRequest, written: WrittenPoint): BackupFacts {
  const { verdict, through } = written;
  return {
    etcd: base.manifest.etcd,
    ...snapshotFacts(verdict),
    anchors: verdict.sampleLiveEntries(ANCHORS),
    proof: proofOf(written),
    attachmentsLeftOut: base.manifest.attachmentsLeftOut,
    synthetic: { base: base.id, through: through?.name ?? '' },
    ...{ labels, requester },
  };
}

function proofOf({ matched, outvoted }: WrittenPoint): Proof {
  const newest = matched.at(-1);
  if (newest === undefined) {
    return {
      kind: 'none',
      reason: 'merged from another backup and segments, of whose history no member had kept a hash',
    };
  }
  const { hash, revision, compactRevision, memberId, segment } = newest;
  return {
    ...{ kind: 'compaction-hashkv', hash, revision, compactRevision, memberId },
    ...{ endpoint: segment.name, provenAt: segment.head.sealedAt },
    ...(outvoted.length === 0 ? {} : { outvoted: outvoted.slice(-MOST_OUTVOTED).map(voiceOf) }),
  };
}

/** As many as a manifest takes. */
const MOST_OUTVOTED = 64;

function voiceOf({ memberId, hash, segment }: DifferingHash): {
  memberId: bigint;
  endpoint: string;
  hash: number;
} {
  return { memberId, endpoint: segment.name, hash };
}

async function discard(writer: BackupWriter): Promise<void> {
  try {
    await writer.discard({ signal: AbortSignal.timeout(DISCARD_MS) });
  } catch {
    // A sweep gets what is left; why the backup failed is told.
  }
}

function nothingToMerge({ id, manifest }: SoundBackup, revision: bigint): GuardianError {
  return new GuardianError(
    'merge.nothing',
    `backup ${id} is at revision ${manifest.snapshot.currentRevision}: merging up to ${revision} adds nothing`,
  );
}
