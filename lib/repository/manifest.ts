import { z } from 'zod';
import { FORMAT_VERSION } from './document.ts';
import { count, decimal64, hex64, instant, sha256Hex, uint32, words } from './wire.ts';

/** One stored object that belongs to a backup: what it holds, and what its bytes must be. */
export const storedContent = z.object({
  /** The object's full name in the repository. */
  name: z.string().max(1024),
  plainSize: count,
  /** Of the bytes as stored. */
  storedSize: count,
  /** Of the bytes as stored, so that it can be checked without a key. */
  sha256: sha256Hex,
  compression: z.object({ algorithm: z.literal('zstd'), level: z.int(), frameSize: count }),
  /** Who can open it; empty: stored unencrypted. */
  recipients: z.array(z.object({ id: words, kind: words })).max(32),
});

const etcdSource = z.object({
  clusterId: hex64,
  memberId: hex64,
  memberName: words,
  endpoint: words,
  /** The server's version, e.g. `3.6.16`. */
  serverVersion: words,
  /** What the file says of itself, e.g. `3.6.0`; absent before 3.6. */
  storageVersion: words.optional(),
  clusterVersion: words.optional(),
  raftTerm: decimal64,
  /** Member id of the leader at that time, where known. */
  leader: hex64.optional(),
});

const hashKV = z.object({ hash: uint32, revision: decimal64, compactRevision: decimal64 });

const snapshot = z.object({
  /** The last main revision in bucket `key`; 0 when it is empty. */
  revision: decimal64,
  /** What etcd's current revision is after loading the file: also counts compaction marks. */
  currentRevision: decimal64,
  /** -1 when nothing was ever compacted. */
  compactRevision: decimal64,
  /** Live user keys, as etcdutl 3.6 counts. */
  totalKeys: count,
  /** Entries of all buckets, as etcdutl 3.5 counts. */
  totalEntries: count,
  /** Bytes of the database, without the trailer. */
  totalSize: count,
  pageSize: count,
  /** Of the database, without the trailer: what the trailer must say. */
  sha256: sha256Hex,
  /** As `etcdutl snapshot status` prints it. */
  hash: uint32,
  hashKV,
  leases: count,
  /** Leases that live keys name but the file doesn't hold: such keys never expire after a restore. */
  orphanLeases: count,
  alarms: z.array(z.object({ memberId: hex64, kind: words })).max(64),
});

/** An entry of bucket `key` by which a later snapshot of the same history is recognised. */
const anchor = z.object({
  main: decimal64,
  sub: decimal64,
  /** CRC-32C of key and value as stored. */
  checksum: uint32,
  /** Bytes of key and value as stored. */
  size: count,
});

const memberHash = hashKV.extend({ memberId: hex64, endpoint: words, provenAt: instant });

const equalHash = memberHash.extend({
  /** Members that answered with another hash at the same revision, and were in the minority: their data is wrong. */
  outvoted: z
    .array(z.object({ memberId: hex64, endpoint: words, hash: uint32 }))
    .max(64)
    .optional(),
});

/** What shows that the file equals a live member: the one that it came from only where `memberId` is that of `etcd`. */
const proof = z.discriminatedUnion('kind', [
  /** A member was asked for its HashKV, and it is the file's. */
  z.object({ kind: z.literal('live-hashkv'), ...equalHash.shape }),
  /** The same with a hash that the member had kept from a compaction. */
  z.object({ kind: z.literal('compaction-hashkv'), ...equalHash.shape }),
  /** The member answered with another hash than the file's: evidence against this backup. */
  z.object({ kind: z.literal('mismatch'), ...memberHash.shape, fileHash: uint32 }),
  z.object({ kind: z.literal('none'), reason: words }),
]);

const statistics = z.object({
  /** The largest groups of keys first. */
  groups: z
    .array(
      z.object({
        name: words,
        liveKeys: count,
        liveBytes: count,
        historyEntries: count,
        historyBytes: count,
      }),
    )
    .max(100),
  /** Groups that the list leaves out. */
  otherGroups: count,
});

/**
 * The commit point of a backup: what there is, what it must be, and where it came from. Its JSON is signed and written
 * last (docs/format.md, "Manifest"). Unknown fields are ignored on reading, so that later versions can add some.
 */
export const manifestSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  /** The backup's id, which is also its chain's. */
  id: z.string(),
  cluster: z.string(),
  timeline: z.string(),
  createdAt: instant,
  completedAt: instant,
  /** Program and version that wrote it, e.g. `etcdguardian 0.1.0`. */
  tool: words,
  etcd: etcdSource,
  snapshot,
  base: storedContent,
  anchors: z.array(anchor).max(256),
  proof,
  statistics: statistics.optional(),
  /** Which keys the API servers need to read encrypted values, e.g. provider `kms-v2`, key `vault`; empty: none. */
  encryptionAtRest: z
    .array(z.object({ provider: words, key: words }))
    .max(256)
    .optional(),
  attachments: z.array(storedContent).max(256),
  /** What attachments should have been made and were not, or not wholly, and why. */
  attachmentsLeftOut: words.optional(),
  /** Merged from another backup's base and what was captured behind it, up to the end of a segment; absent: streamed by a member. */
  synthetic: z.object({ base: words, through: words }).optional(),
  /** Who asked for the backup. */
  requester: z
    .object({ username: words, uid: words.optional(), groups: z.array(words).max(256).optional() })
    .optional(),
  /** The caller's own marks, e.g. the schedule that it belongs to. */
  labels: z.record(z.string().max(256), words).optional(),
  /** The store was asked to keep the objects undeletable until then. */
  retainUntil: instant.optional(),
});

export const manifestDocument = {
  payloadType: 'application/vnd.etcdguardian.manifest+json',
  schema: manifestSchema,
};

export type Manifest = Readonly<z.output<typeof manifestSchema>>;
export type StoredContent = Readonly<z.output<typeof storedContent>>;
export type Anchor = Readonly<z.output<typeof anchor>>;
export type Proof = Readonly<z.output<typeof proof>>;
export type KeyStatistics = Readonly<z.output<typeof statistics>>;

/** What whoever made the backup tells; the rest of the manifest is the repository's own knowledge. */
export type BackupFacts = Pick<
  Manifest,
  | 'etcd'
  | 'snapshot'
  | 'anchors'
  | 'proof'
  | 'statistics'
  | 'encryptionAtRest'
  | 'attachmentsLeftOut'
  | 'synthetic'
  | 'requester'
  | 'labels'
>;
