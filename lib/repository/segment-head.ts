import { z } from 'zod';
import { FORMAT_VERSION } from './document.ts';
import { MAX_TIMES } from './seen-times.ts';
import { count, decimal64, hex64, instant, sha256Hex, uint32, words } from './wire.ts';

/** More are neither written nor read; all but the last batch hold 4,000 events or 4 MiB. */
export const MAX_BATCHES = 2048;

/** What a capture knows of the leases when a segment ends; ids with the seconds that were granted. */
const leaseTable = z.object({
  /** True: `granted` is the whole table. False: what has changed since the segment before. */
  complete: z.boolean(),
  granted: z.array(z.tuple([hex64, decimal64])).max(8192),
  gone: z.array(hex64).max(8192),
});

/** A hash that a member kept from a compaction: a merge up to `revision` must have it. */
const keptHash = z.object({
  hash: uint32,
  revision: decimal64,
  compactRevision: decimal64,
  memberId: hex64,
});

/**
 * The head of a segment: a signed document that says what the bytes behind it are and where they belong
 * (docs/format.md, "Segments"). It can be read alone, without a key.
 */
export const segmentHeadSchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  cluster: z.string(),
  timeline: z.string(),
  /** The chain's id. */
  chain: z.string(),
  /** From 0, within the chain. */
  index: count,
  /** Exclusive. */
  from: decimal64,
  /** Inclusive: the main revision of the last event, which is whole. */
  to: decimal64,
  /**
   * Of a chain's first segment, and only there: the revision of the base, which its name holds in place of `from`, so
   * that whoever goes on from that base contends for one name. At least `from`, below `to`.
   */
  base: decimal64.optional(),
  /** SHA-256 of the head of the segment before, as a document, or of the base's manifest. */
  predecessor: sha256Hex,
  etcdClusterId: hex64,
  tool: words,
  /** `capture`: a daemon that expects to be the only one; `catch-up`: a single run, which a daemon may follow. */
  writer: z.object({ id: hex64, kind: z.enum(['capture', 'catch-up']), sealIntervalMs: count }),
  openedAt: instant,
  sealedAt: instant,
  /** Changes in it. */
  events: count,
  puts: count,
  /** Bytes of the entries (keys as in bucket `key`, and values). */
  plainSize: count,
  /** Zstd frames, in order; each is one batch of events. */
  batches: z
    .array(z.object({ events: count, size: count, plainSize: count, first: decimal64 }))
    .max(MAX_BATCHES),
  /** Bytes behind the head, as stored. */
  storedSize: count,
  /** Of the bytes behind the head, as stored. */
  sha256: sha256Hex,
  /** Who can open it; empty: stored unencrypted. */
  recipients: z.array(z.object({ id: words, kind: words })).max(32),
  /**
   * When revisions were seen, ascending in both: at the time (the capture's clock, never going back) everything up to
   * the revision had been seen. The last one is of `to`.
   */
  times: z.array(z.tuple([decimal64, instant])).max(MAX_TIMES),
  leases: leaseTable,
  proofs: z.array(keptHash).max(64),
  /**
   * Where the clocks of the chain's writers are known to have gone another way than time: all up to here, also those
   * that the segments before tell, so that a chain's last head tells them all. Absent: the writer didn't look.
   */
  clockSteps: z
    .array(z.object({ revision: decimal64, before: instant, after: instant }))
    .max(64)
    .optional(),
  /** Of a chain's first segment: why the chain before it could not go on, and where that ended. */
  gap: z.object({ after: decimal64, reason: words }).optional(),
});

export const segmentHeadDocument = {
  payloadType: 'application/vnd.etcdguardian.segment+json',
  schema: segmentHeadSchema,
};

export type SegmentHead = Readonly<z.output<typeof segmentHeadSchema>>;
