import type { GuardianError } from '../../guardian-error.ts';
import type { KeyValue } from '../mvcc/key-value.ts';
import type { PackedEvents } from './packed-events.ts';

/**
 * One etcd cluster, by its endpoints. Made by `connectEtcd`; nothing is dialled before the first call.
 *
 * `endpoint` arguments are one of `endpoints`, or any other address of a member, e.g. from its client URLs.
 * Calls without one go to the first endpoint that answers. Every call has a deadline, stops when its signal aborts
 * (rejecting with the signal's reason) and rejects with a `GuardianError` that names the endpoint:
 *
 * - `etcd.connect-timeout`, `etcd.refused`, `etcd.dns`, `etcd.unreachable`, `etcd.tls`, `etcd.certificate`: no connection;
 * - `etcd.connection-lost`, `etcd.deadline`, `etcd.unavailable` (no leader …), `etcd.busy`: worth another try;
 * - `etcd.unauthenticated`, `etcd.permission-denied`: not with these credentials;
 * - `etcd.compacted` (an `EtcdCompactedError` from a watch), `etcd.future-revision`, `etcd.no-space`,
 *   `etcd.corrupt-alarm`, `etcd.learner`, `etcd.unsupported`: etcd's own answer;
 * - `etcd.snapshot-cut`, `etcd.snapshot-idle`: a snapshot that isn't whole;
 * - `etcd.protocol`: bytes that no etcd sends; `etcd.rejected`: any other refusal, in etcd's words;
 * - `etcd.closed`: the client was closed meanwhile.
 */
export interface EtcdClient extends AsyncDisposable {
  /** As configured, normalised to `http(s)://host:port`, without repetitions, in the order given. */
  readonly endpoints: readonly string[];

  /** Answered by the member itself, without a leader. */
  status(endpoint: string, options?: CallOptions): Promise<MemberStatus>;

  /** The status of every configured endpoint, asked in parallel, in the order of `endpoints`. Rejects only when aborted. */
  statuses(options?: CallOptions): Promise<EndpointStatus[]>;

  /** The members as the answering member knows them, without a leader. */
  members(options?: CallOptions): Promise<MemberList>;

  /** Needs a leader; `MemberStatus.alarms` doesn't. */
  alarms(options?: CallOptions): Promise<Alarm[]>;

  /**
   * The hash of all revisions up to `revision` (0n: the current one) of that member. It holds the member's writes up
   * for as long as it takes, about a second for each 2 GB, unless the member kept the hash of a compaction at `revision`.
   */
  hashKV(endpoint: string, revision: bigint, options?: CallOptions): Promise<HashKV>;

  /** The member's database as it is when the stream opens. Opened by the first read; see `SnapshotStream`. */
  snapshot(endpoint: string, options?: SnapshotOptions): SnapshotStream;

  range(key: Key, options?: RangeOptions): Promise<RangeResult>;

  /** Opened by the first read; see `WatchStream`. */
  watch(request: WatchRequest): WatchStream;

  /** The same for whoever takes in everything: events stay packed, and responses come in the pieces that etcd cuts. */
  watchPacked(request: PackedWatchRequest): PackedWatchStream;

  /** The ids of all leases. */
  leases(options?: CallOptions): Promise<LeaseList>;

  /** Needs a leader. `undefined` when there is no such lease. */
  leaseTimeToLive(id: bigint, options?: CallOptions): Promise<LeaseTimeToLive | undefined>;

  /** Ends what is still running and closes the connections. */
  close(): Promise<void>;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For this call, in place of the settings' `requestTimeoutMs`; connecting has its own limit besides. */
  readonly timeoutMs?: number | undefined;
}

/** What every answer tells about who answered. */
export interface ResponseHeader {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  /** The member's newest revision when it answered. */
  readonly revision: bigint;
  readonly raftTerm: bigint;
}

export interface MemberStatus {
  readonly endpoint: string;
  readonly header: ResponseHeader;
  /** etcd's version, e.g. `3.6.16`. */
  readonly version: string;
  /** e.g. `3.6.0`; undefined before 3.6 and in a new member's first seconds. */
  readonly storageVersion: string | undefined;
  /** Bytes allocated: what a snapshot streams. */
  readonly dbSize: number;
  /** Bytes of it that aren't free pages. */
  readonly dbSizeInUse: number;
  /** Bytes; undefined before 3.6. */
  readonly dbSizeQuota: number | undefined;
  /** Member id of the leader this member follows; undefined when it knows none. */
  readonly leader: bigint | undefined;
  readonly isLeader: boolean;
  readonly isLearner: boolean;
  readonly raftIndex: bigint;
  readonly raftAppliedIndex: bigint;
  /** The alarms of the whole cluster, as this member knows them. */
  readonly alarms: readonly Alarm[];
  /** What the member complains of, in etcd's words; the alarms among it. */
  readonly errors: readonly string[];
}

export type EndpointStatus =
  | { readonly endpoint: string; readonly status: MemberStatus; readonly error?: undefined }
  | { readonly endpoint: string; readonly status?: undefined; readonly error: GuardianError };

export interface MemberList {
  readonly header: ResponseHeader;
  readonly members: readonly Member[];
}

export interface Member {
  readonly id: bigint;
  /** Empty for a member that was added but never started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface Alarm {
  /** 0n when etcd found members that differ but can't tell which are wrong. */
  readonly memberId: bigint;
  readonly kind: 'NOSPACE' | 'CORRUPT' | 'unknown';
}

export interface HashKV {
  readonly header: ResponseHeader;
  /** CRC-32C, unsigned. */
  readonly hash: number;
  /** The compact revision that the hash was computed with; -1n when nothing was ever compacted. */
  readonly compactRevision: bigint;
  /** The revision that was hashed. */
  readonly hashRevision: bigint;
}

export interface SnapshotOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long etcd may send nothing while we wait for bytes. Default 20,000. */
  readonly idleTimeoutMs?: number | undefined;
}

/**
 * The bytes of a snapshot file in order, in pieces of 1 MiB but the last: the database, then its 32-byte sha256. One
 * pass, received by a thread of its own. A piece is valid until the next one is asked for.
 *
 * Ends without error only when etcd said that nothing remains and sent the digest (its value is for the reader to
 * check). A slow reader holds etcd back: at most some 8 MiB wait in memory, and etcd keeps a read transaction open for
 * as long as the stream lasts. Leaving the loop early ends the stream at etcd.
 * A stream that breaks or ends early fails with `etcd.snapshot-cut`, a silent one with `etcd.snapshot-idle`.
 */
export interface SnapshotStream extends AsyncIterable<Uint8Array> {
  readonly endpoint: string;
  /**
   * Who is sending: asked over the stream's own connection just before it, so right also where a load balancer stands
   * between. Known from the first piece on.
   */
  readonly member: MemberStatus | undefined;
  /** Bytes of the database, without the digest; known from the first piece on. */
  readonly totalBytes: number | undefined;
  /** Bytes of the database that were handed out. */
  readonly receivedBytes: number;
  /** e.g. `3.6.0`, from the first piece on; undefined before etcd 3.6 and in a new member's first seconds. */
  readonly storageVersion: string | undefined;
}

/** A string stands for its UTF-8 bytes. */
export type Key = string | Uint8Array;

export interface RangeOptions extends CallOptions {
  /** Exclusive; one zero byte means to the end of the key space. Left out: the single key. */
  readonly rangeEnd?: Key | undefined;
  /** At most so many keys; 0 or left out means all. */
  readonly limit?: number | undefined;
  /** Read as of this revision. Left out: the newest. */
  readonly revision?: bigint | undefined;
  readonly keysOnly?: boolean | undefined;
  readonly countOnly?: boolean | undefined;
  /** Answered from the member's own data without a leader, perhaps stale. */
  readonly serializable?: boolean | undefined;
  /** The member to ask; left out: the first endpoint that answers. */
  readonly endpoint?: string | undefined;
}

export interface RangeResult {
  readonly header: ResponseHeader;
  readonly kvs: readonly KeyValue[];
  /** True when `limit` left keys out. */
  readonly more: boolean;
  /** Keys in the range, whatever the limit. */
  readonly count: bigint;
}

export interface WatchRequest {
  readonly key: Key;
  /** As in `RangeOptions`. */
  readonly rangeEnd?: Key | undefined;
  /** The first revision to deliver; left out: what comes after the watch was created. */
  readonly startRevision?: bigint | undefined;
  /** Lets etcd cut large responses, also inside a revision. Default true. */
  readonly fragment?: boolean | undefined;
  /** Put the pieces of a response together again. Default true; without it memory is bounded by the piece, about 2 MiB. */
  readonly reassemble?: boolean | undefined;
  /** Ask for a response without events now and then (every 10 minutes by default in etcd) when nothing happens. */
  readonly progressNotify?: boolean | undefined;
  readonly prevKv?: boolean | undefined;
  /** The member to ask; left out: the first endpoint that answers. */
  readonly endpoint?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What etcd sends for one watch, in revision order. One pass, with back-pressure. It ends only by an error, by its
 * signal, by `close()` of the client, or because the reader leaves the loop. Broken connections aren't resumed:
 * watch again from the last complete revision + 1. Rejects with `EtcdCompactedError` when etcd has compacted past it.
 */
export interface WatchStream extends AsyncIterable<WatchResponse> {
  /** Asks for a response without events. etcd stays silent unless the watch has caught up: ask again now and then. */
  requestProgress(): void;
}

export interface WatchResponse {
  readonly endpoint: string;
  readonly header: ResponseHeader;
  /**
   * - `created`: the first one; its header's revision certifies nothing;
   * - `events`: `header.revision` may be newer than the last event: resume from the last event;
   * - `progress`: every event up to `header.revision` has been delivered.
   */
  readonly kind: 'created' | 'events' | 'progress';
  readonly events: readonly WatchEvent[];
  /** True when more pieces of the same response follow; the last revision here may be incomplete. */
  readonly fragment: boolean;
}

export type PackedWatchRequest = Omit<WatchRequest, 'reassemble' | 'prevKv'>;

/** As `WatchStream`. What it yields may be used until the next is asked for. */
export interface PackedWatchStream extends AsyncIterable<PackedWatchResponse> {
  requestProgress(): void;
}

export interface PackedWatchResponse extends Omit<WatchResponse, 'events'> {
  readonly events: PackedEvents;
}

export interface WatchEvent {
  readonly type: 'put' | 'delete';
  /** Of a delete only `key` and `modRevision` are set. */
  readonly kv: KeyValue;
  /** `kv` as it arrived, an mvccpb.KeyValue; that of a put is the very value that etcd stores in its bucket `key`. */
  readonly encoded: Buffer;
  /** Only when asked for by `prevKv`, and not yet compacted. */
  readonly prevKv: KeyValue | undefined;
}

export interface LeaseList {
  readonly header: ResponseHeader;
  readonly ids: readonly bigint[];
}

export interface LeaseTimeToLive {
  readonly id: bigint;
  /** Seconds left. */
  readonly ttl: bigint;
  /** Seconds, as granted. */
  readonly grantedTtl: bigint;
}
