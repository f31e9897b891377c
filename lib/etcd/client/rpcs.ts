import { z } from 'zod';
import type { Alarm, HashKV, LeaseList, MemberList, ResponseHeader } from './etcd-client.ts';
import { decodeRangeReply, decodeWatchReply } from './key-value-replies.ts';
import { rpc, rpcWithDecoder } from './rpc.ts';
import { decodeSnapshotPiece } from './snapshot-piece.ts';

const id = z.string().transform((text) => BigInt(text));
const size = z.string().transform(Number).pipe(z.int().nonnegative());
const emptyAsUndefined = z.string().transform((text) => (text === '' ? undefined : text));

const header = z
  .object({ cluster_id: id, member_id: id, revision: id, raft_term: id })
  .transform((it): ResponseHeader => {
    return {
      clusterId: it.cluster_id,
      memberId: it.member_id,
      revision: it.revision,
      raftTerm: it.raft_term,
    };
  });

export const STATUS = rpc<Record<string, never>, StatusReply>(
  'Maintenance',
  'Status',
  z
    .object({
      header,
      version: z.string(),
      dbSize: size,
      leader: id,
      raftIndex: id,
      raftAppliedIndex: id,
      errors: z.array(z.string()),
      dbSizeInUse: size,
      isLearner: z.boolean(),
      storageVersion: emptyAsUndefined,
      dbSizeQuota: size,
    })
    .transform((it) => ({ ...it, dbSizeQuota: it.dbSizeQuota === 0 ? undefined : it.dbSizeQuota })),
);

export interface StatusReply {
  readonly header: ResponseHeader;
  readonly version: string;
  readonly dbSize: number;
  /** 0n: none. */
  readonly leader: bigint;
  readonly raftIndex: bigint;
  readonly raftAppliedIndex: bigint;
  readonly errors: readonly string[];
  readonly dbSizeInUse: number;
  readonly isLearner: boolean;
  readonly storageVersion?: string | undefined;
  readonly dbSizeQuota: number | undefined;
}

export const MEMBER_LIST = rpc<Record<string, never>, MemberList>(
  'Cluster',
  'MemberList',
  z.object({
    header,
    members: z.array(
      z
        .object({
          ID: id,
          name: z.string(),
          peerURLs: z.array(z.string()),
          clientURLs: z.array(z.string()),
          isLearner: z.boolean(),
        })
        .transform((it) => ({
          id: it.ID,
          name: it.name,
          peerUrls: it.peerURLs,
          clientUrls: it.clientURLs,
          isLearner: it.isLearner,
        })),
    ),
  }),
);

export const ALARM = rpc<AlarmRequest, readonly Alarm[]>(
  'Maintenance',
  'Alarm',
  z
    .object({
      alarms: z.array(
        z
          // A kind that we don't know comes as its number.
          .object({ memberID: id, alarm: z.union([z.string(), z.number()]) })
          .transform((it): Alarm => ({ memberId: it.memberID, kind: alarmKind(it.alarm) })),
      ),
    })
    .transform((it) => it.alarms),
);

export interface AlarmRequest {
  readonly action: 'GET' | 'ACTIVATE' | 'DEACTIVATE';
  /** Decimal. */
  readonly memberID?: string;
  readonly alarm?: 'NOSPACE' | 'CORRUPT';
}

function alarmKind(alarm: string | number): Alarm['kind'] {
  return alarm === 'NOSPACE' || alarm === 'CORRUPT' ? alarm : 'unknown';
}

/** `MemberStatus.errors` hold the alarms as Go prints them: `memberID:10276657743932975437 alarm:NOSPACE `. */
export function alarmsAmong(errors: readonly string[]): Alarm[] {
  return errors.flatMap((error) => {
    const match = /^(?:memberID:(\d+)\s+)?alarm:(\w+)\s*$/.exec(error.trim());
    return match === null ? [] : [{ memberId: BigInt(match[1] ?? 0), kind: alarmKind(match[2] ?? '') }];
  });
}

export const HASH_KV = rpc<{ readonly revision: string }, HashKV>(
  'Maintenance',
  'HashKV',
  z.object({ header, hash: z.int(), compact_revision: id, hash_revision: id }).transform((it) => ({
    header: it.header,
    hash: it.hash >>> 0,
    compactRevision: it.compact_revision,
    hashRevision: it.hash_revision,
  })),
);

export const RANGE = rpcWithDecoder<RangeRequest, ReturnType<typeof decodeRangeReply>>(
  'KV',
  'Range',
  decodeRangeReply,
);

/** Names as in the protocol; 64-bit integers as decimal strings. */
export interface RangeRequest {
  readonly key: Uint8Array;
  readonly range_end?: Uint8Array | undefined;
  readonly limit?: string | undefined;
  readonly revision?: string | undefined;
  readonly serializable?: boolean | undefined;
  readonly keys_only?: boolean | undefined;
  readonly count_only?: boolean | undefined;
}

export const LEASE_LEASES = rpc<Record<string, never>, LeaseList>(
  'Lease',
  'LeaseLeases',
  z
    .object({ header, leases: z.array(z.object({ ID: id })) })
    .transform((it) => ({ header: it.header, ids: it.leases.map((lease) => lease.ID) })),
);

export const LEASE_TIME_TO_LIVE = rpc<{ readonly ID: string }, LeaseTimeToLiveReply>(
  'Lease',
  'LeaseTimeToLive',
  z
    .object({ ID: id, TTL: id, grantedTTL: id })
    .transform((it) => ({ id: it.ID, ttl: it.TTL, grantedTtl: it.grantedTTL })),
);

export interface LeaseTimeToLiveReply {
  readonly id: bigint;
  /** Seconds; -1n when there is no such lease. */
  readonly ttl: bigint;
  readonly grantedTtl: bigint;
}

export const AUTHENTICATE = rpc<{ readonly name: string; readonly password: string }, { token: string }>(
  'Auth',
  'Authenticate',
  z.object({ token: z.string().min(1) }),
);

export const SNAPSHOT = rpcWithDecoder<Record<string, never>, ReturnType<typeof decodeSnapshotPiece>>(
  'Maintenance',
  'Snapshot',
  decodeSnapshotPiece,
);

export const WATCH = rpcWithDecoder<WatchCall, ReturnType<typeof decodeWatchReply>>(
  'Watch',
  'Watch',
  decodeWatchReply,
);

/** What a watch stream may be sent; names as in the protocol. */
export interface WatchCall {
  readonly create_request?: {
    readonly key: Uint8Array;
    readonly range_end?: Uint8Array | undefined;
    readonly start_revision?: string | undefined;
    readonly progress_notify: boolean;
    readonly prev_kv: boolean;
    readonly fragment: boolean;
  };
  readonly progress_request?: Record<string, never>;
}
