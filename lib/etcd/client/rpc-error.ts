import { status } from '@grpc/grpc-js';
import { GuardianError, type GuardianErrorDetails } from '../../guardian-error.ts';

/** How a call ended, as gRPC tells it. */
export interface RpcStatus {
  /** One of `status`, or what a server made up. */
  readonly code: number;
  /** etcd's own words start with `etcdserver: `; others are gRPC's or a proxy's. */
  readonly details: string;
}

/**
 * What a failed call means. `rpc` is the call's name, e.g. `Maintenance/Snapshot`. etcd tells most of its errors apart by
 * their text only (its api/v3rpc/rpctypes/error.go), so the text decides before the code does.
 */
export function rpcError(endpoint: string, rpc: string, ended: RpcStatus, cause?: unknown): GuardianError {
  const found =
    MEANINGS.find(({ says }) => says?.test(ended.details)) ??
    MEANINGS.find(({ code }) => code === ended.code) ??
    UNEXPECTED;
  const words = ended.details === '' ? status[ended.code] : ended.details.replace(/^(etcdserver|auth): /, '');
  const { hint, retryable } = found;
  const details: GuardianErrorDetails = { retryable: retryable ?? false, cause, ...(hint && { hint }) };
  return new GuardianError(found.error, `${endpoint} ${found.what} (${rpc}: ${words})`, details);
}

/** True when another member may well answer what this one couldn't. */
export function concernsOneMember(error: GuardianError): boolean {
  return error.retryable || ONE_MEMBER.has(error.code);
}

interface Meaning {
  readonly says?: RegExp;
  readonly code?: number;
  readonly error: string;
  /** Continues the sentence that starts with the endpoint. */
  readonly what: string;
  readonly hint?: string;
  readonly retryable?: boolean;
}

const MEANINGS: readonly Meaning[] = [
  {
    says: /invalid auth token|revision of auth store is old/,
    error: 'etcd.unauthenticated',
    what: 'no longer takes our token',
    // The only retryable one of this code: a new token is asked for.
    hint: 'try again; if it stays, check that the members agree about users: etcdctl auth status',
    retryable: true,
  },
  {
    says: /invalid user ID or password/,
    error: 'etcd.unauthenticated',
    what: "doesn't take this user and password",
    hint: 'check the user name and password',
  },
  {
    says: /user name is empty/,
    error: 'etcd.unauthenticated',
    what: 'wants to know who asks',
    hint: 'etcd has authentication on: give a user and password, or a client certificate that carries the user as CN',
  },
  {
    says: /permission denied/,
    error: 'etcd.permission-denied',
    what: "doesn't allow this to our user",
    hint: 'snapshots, hashes and a watch of all keys need the role root: etcdctl user grant-role USER root',
  },
  {
    says: /authentication is not enabled/,
    error: 'etcd.auth-off',
    what: 'has authentication off',
  },
  {
    says: /required revision has been compacted/,
    error: 'etcd.compacted',
    what: 'has already compacted that revision',
    hint: 'ask for a newer revision',
  },
  {
    says: /future revision/,
    error: 'etcd.future-revision',
    what: "hasn't reached that revision",
    hint: 'the member is behind, or the cluster was restored to an earlier time',
  },
  {
    says: /database space exceeded/,
    error: 'etcd.no-space',
    what: 'has no space left under its quota',
    hint: 'compact, defragment, then `etcdctl alarm disarm`; reading and snapshots still work',
  },
  {
    says: /corrupt cluster/,
    error: 'etcd.corrupt-alarm',
    what: 'refuses to work: an alarm says that members differ',
    hint: 'see `etcdctl alarm list` and compare `etcdctl endpoint hashkv --cluster`; replace the members that are wrong',
  },
  {
    says: /not supported for learner/,
    error: 'etcd.learner',
    what: 'is a learner and answers no such call',
    hint: 'ask a voting member, or promote it with `etcdctl member promote`',
  },
  {
    says: /^etcdserver: too many requests/,
    error: 'etcd.busy',
    what: 'is overloaded',
    hint: 'try again later',
    retryable: true,
  },
  {
    says: /^etcdserver: (no leader|leader changed|not leader|request timed out|unhealthy|server stopped)/,
    error: 'etcd.unavailable',
    what: "can't answer now",
    hint: 'the member has no working quorum or is going down: see `etcdctl endpoint status --cluster`',
    retryable: true,
  },
  {
    // etcd hands these of its raft library on as they are: it is going down, or just handed its leadership over.
    says: /^raft(: stopped| proposal dropped)$/,
    error: 'etcd.unavailable',
    what: "can't answer now",
    hint: 'the member is going down, or its cluster changes its leader: try again',
    retryable: true,
  },
  {
    // grpc-js's words for HTTP/2's ENHANCE_YOUR_CALM. It pings half as often when it connects again.
    says: /^Bandwidth exhausted/,
    error: 'etcd.connection-lost',
    what: 'finds that we ping too often',
    hint: "try again: we ping less often then; etcd's limit is its --grpc-keepalive-min-time",
    retryable: true,
  },
  {
    code: status.UNIMPLEMENTED,
    error: 'etcd.unsupported',
    what: "doesn't know this call",
    hint: 'etcd 3.4 or newer is needed; check that the endpoint is etcd, and not its peer or metrics port or a proxy',
  },
  {
    code: status.DEADLINE_EXCEEDED,
    error: 'etcd.deadline',
    what: "didn't answer in time",
    hint: 'the member is overloaded, hangs on its disk or has no quorum: see `etcdctl endpoint status --cluster`',
    retryable: true,
  },
  {
    code: status.UNAVAILABLE,
    error: 'etcd.connection-lost',
    what: 'broke the connection off',
    hint: 'etcd went down, or the network between here and there broke',
    retryable: true,
  },
  // What grpc-js makes of a connection that breaks at an unlucky moment. Calls that we end ourselves don't come here.
  ...[status.INTERNAL, status.CANCELLED].map((code) => ({
    code,
    error: 'etcd.connection-lost',
    what: 'broke the call off',
    hint: 'etcd went down, the network broke, or a proxy interfered',
    retryable: true,
  })),
  {
    code: status.PERMISSION_DENIED,
    error: 'etcd.permission-denied',
    what: "doesn't allow this",
    hint: 'etcd itself words it differently: a proxy may stand between',
  },
  {
    code: status.UNAUTHENTICATED,
    error: 'etcd.unauthenticated',
    what: 'wants to know who asks',
    hint: 'give a user and password, or a client certificate',
  },
];

const UNEXPECTED: Meaning = { error: 'etcd.rejected', what: 'refused the call' };

const ONE_MEMBER = new Set([
  'etcd.connect-timeout',
  'etcd.refused',
  'etcd.dns',
  'etcd.unreachable',
  'etcd.tls',
  'etcd.learner',
  'etcd.unsupported',
  'etcd.protocol',
]);
