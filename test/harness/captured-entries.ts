import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { type EntryBatch, keyOf, valueOf } from '../../lib/etcd/bolt/entry-batch.ts';
import { openBoltFile } from '../../lib/etcd/bolt/reader.ts';
import { readStoreRevisions } from '../../lib/etcd/mvcc/store-revisions.ts';
import type { StoredSegment } from '../../lib/repository/chain.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import type { PointQuery } from '../../lib/repository/choose-point.ts';
import { writeRestorePoint } from '../../lib/repository/write-restore-point.ts';
import type { Etcd } from './etcd.ts';
import { CLUSTER } from './live-capture.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** Entries of bucket `key`: by revision key in hex, a digest of the value. */
export type Entries = ReadonlyMap<string, string>;

export interface Judgement {
  /** Entries that base and segments hold together. */
  readonly entries: Entries;
  readonly segments: readonly StoredSegment[];
  /** Up to where they reach. */
  readonly revision: bigint;
}

/**
 * Asserts that a base and the segments behind it hold what the live member holds, byte for byte; of what the member has
 * compacted meanwhile, what it kept. The base is the newest, unless given. The member must be at rest.
 */
export async function assertCaptured(
  repository: Repository,
  etcd: Etcd,
  base?: SoundBackup,
): Promise<Judgement> {
  const backup = base ?? (await repository.find(CLUSTER, 'latest')).backup;
  const live = await liveEntries(etcd);
  const { entries, segments } = await capturedEntries(repository, backup);
  const compacted = hexMain(live.compactRevision);
  for (const [key, value] of live.entries) {
    assert.equal(entries.get(key), value, `${key} of the live member`);
  }
  for (const key of entries.keys()) {
    if (key.slice(0, 16) <= compacted) continue;
    assert.ok(live.entries.has(key), `${key} was captured, and isn't in the live member`);
  }
  const revision = segments.at(-1)?.head.to ?? backup.manifest.snapshot.currentRevision;
  return { entries, segments, revision };
}

/** What a base and the unbroken run of segments behind it hold; each entry once. */
export async function capturedEntries(
  repository: Repository,
  backup: SoundBackup,
): Promise<Pick<Judgement, 'entries' | 'segments'>> {
  const entries = new Map<string, string>();
  await using folder = await temporaryFolder();
  const file = folder.join('base.db');
  await writeFile(file, repository.readBase(backup));
  {
    await using bolt = await openBoltFile(file);
    for await (const batch of bolt.entries('key')) addAll(entries, batch, -1n);
  }
  const from = backup.manifest.snapshot.currentRevision;
  const segments = await segmentsBehind(repository, backup);
  for (const segment of segments) {
    for await (const batch of repository.segments.read(segment)) addAll(entries, batch, from);
  }
  return { entries, segments };
}

/** The segments of the base's timeline from the one on that holds the revision behind it; asserts that none is broken. */
export async function segmentsBehind(repository: Repository, backup: SoundBackup): Promise<StoredSegment[]> {
  const after = backup.manifest.snapshot.currentRevision;
  const chains = await repository.segments.chains(CLUSTER, backup.timeline);
  const reaching = chains.filter(({ from }) => from <= after).at(-1);
  const segments: StoredSegment[] = [];
  if (reaching === undefined) return segments;
  for await (const segment of repository.segments.list(reaching, { after })) {
    if (segment.state === 'broken') throw segment.problem;
    segments.push(segment);
  }
  let last = after;
  for (const { head } of segments) {
    assert.ok(head.from <= last && head.to > last, `segment ${head.from}–${head.to} behind ${last}`);
    last = head.to;
  }
  return segments;
}

export async function liveEntries(etcd: Etcd): Promise<{ entries: Entries; compactRevision: bigint }> {
  await using folder = await temporaryFolder();
  const file = folder.join('live.db');
  await etcd.etcdctl('snapshot', 'save', file);
  return await entriesOfFile(file);
}

/** What a restore point of the cluster holds, merged from the store. */
export async function pointEntries(
  repository: Repository,
  query: PointQuery,
): Promise<{ entries: Entries; revision: bigint }> {
  await using folder = await temporaryFolder();
  const file = folder.join('point.db');
  const point = await repository.points.find(CLUSTER, query);
  await writeRestorePoint({ repository, log: repository.segments }, point, file);
  return { entries: (await entriesOfFile(file)).entries, revision: point.revision };
}

async function entriesOfFile(file: string): Promise<{ entries: Entries; compactRevision: bigint }> {
  await using bolt = await openBoltFile(file);
  const entries = new Map<string, string>();
  for await (const batch of bolt.entries('key')) addAll(entries, batch, -1n);
  const { compactRevision } = await readStoreRevisions(bolt);
  return { entries, compactRevision };
}

function addAll(entries: Map<string, string>, batch: EntryBatch, after: bigint): void {
  for (let at = 0; at < batch.count; at++) {
    const key = keyOf(batch, at).toString('hex');
    if (key.slice(0, 16) <= hexMain(after)) continue;
    assert.ok(!entries.has(key), `${key} was captured twice`);
    entries.set(key, createHash('sha1').update(valueOf(batch, at)).digest('base64'));
  }
}

function hexMain(revision: bigint): string {
  return revision < 0n ? '' : revision.toString(16).padStart(16, '0');
}
