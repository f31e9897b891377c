import { GuardianError } from '../lib/guardian-error.ts';

/** What the process's exit status says; `--help` prints this table. */
export const EXIT_CODES = {
  ok: 0,
  failed: 1,
  usage: 2,
  unsound: 3,
  notFound: 4,
  refused: 5,
  unreachable: 6,
  superseded: 7,
  interrupted: 130,
} as const;

export const EXIT_CODE_HELP = `Exit status:
  0    done
  1    failed for a reason that none of the below covers
  2    the command line is wrong
  3    the data is not sound: damaged, unsigned, unproven where proof was demanded
  4    what was named does not exist
  5    refused: permission, password, certificate or key
  6    etcd or the store could not be reached, or was busy; trying again may help
  7    another capture of the same cluster is at work, and this one stepped down
  130  interrupted`;

/** The exit status for anything that was thrown. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof GuardianError)) return EXIT_CODES.failed;
  // A store, or an API server, whose certificate isn't trusted is never reached, and trying again doesn't help.
  if (['store.unreachable', 'kubernetes.unreachable'].includes(error.code) && !error.retryable)
    return EXIT_CODES.refused;
  return EXIT_CODES[kindOf(error.code) ?? 'failed'];
}

/** What an error's code means for whoever waits for the exit status; undefined for codes that no rule knows. */
export function kindOf(code: string): ErrorKind | undefined {
  return KIND_OF_CODE.get(code) ?? KIND_OF_ROOM.get(code.slice(0, code.indexOf('.')));
}

export type ErrorKind = Exclude<keyof typeof EXIT_CODES, 'ok' | 'interrupted'>;

/** Every code that isn't covered by its room. */
export const CODES_BY_KIND: Readonly<Record<ErrorKind, readonly string[]>> = {
  usage: [
    ...[
      'controlplane.settings',
      'controlplane.schedule',
      'controlplane.snapshot-location',
      'controlplane.retention',
    ],
    ...['admission.settings', 'admission.selector', 'settings.hosts'],
    ...['store.url', 'store.settings', 'etcd.settings', 'keys.label'],
    ...['repository.cluster-name', 'repository.attachment-name', 'repository.other-restore'],
    ...['attachments.node', 'attachments.root'],
    ...[
      'restore.name',
      'restore.initial-cluster',
      'restore.peer-urls',
      'restore.bump',
      'restore.wal-dir',
      'restore.bump-too-low',
    ],
    ...['drill.queries', 'drill.work-dir', 'rescue.work-dir', 'rescue.etcd-version'],
  ],
  unsound: [
    ...['backup.unsound', 'backup.unproven', 'backup.hash-mismatch', 'etcd.corrupt-alarm'],
    ...['repository.damaged', 'repository.misplaced', 'repository.missing', 'repository.rolled-back'],
    ...['restore.hash-mismatch', 'restore.members-differ', 'restore.other-member', 'restore.written'],
    ...['rescue.damaged', 'rescue.log', 'rescue.replay'],
    ...['drill.api-server', 'drill.api-server-ended', 'drill.etcd-ended'],
    ...['restore.unsound', 'restore.wrong-copy', 'store.corrupt', 'store.changed'],
    ...['encryption.truncated', 'encryption.corrupt', 'encryption.context', 'encryption.plaintext'],
    ...['signature.invalid', 'signature.malformed', 'signature.missing'],
    ...['attachments.damaged', 'attachments.hostile'],
  ],
  notFound: [
    'kubernetes.not-found',
    ...[
      'disk.not-found',
      'repository.not-found',
      'store.not-found',
      'store.missing',
      'controlplane.secret-missing',
    ],
    ...['restore.no-backup', 'restore.unknown', 'rescue.no-database', 'drill.no-program', 'attachments.none'],
    ...['tenant.no-namespaces', 'tenant.not-in-backup', 'tenant.namespace-missing'],
    ...['mvcc.compacted', 'mvcc.future-revision', 'etcd.compacted', 'etcd.future-revision'],
  ],
  refused: [
    ...[
      'disk.denied',
      'store.denied',
      'store.forbidden-address',
      'encryption.key-missing',
      'encryption.read-only',
      'signature.untrusted',
    ],
    ...['kubernetes.credentials', 'kubernetes.forbidden', 'kubernetes.unauthorized'],
    ...['etcd.permission-denied', 'etcd.unauthenticated', 'etcd.tls', 'etcd.certificate'],
    ...['agent.certificate', 'agent.identity', 'admission.forbidden'],
    'repository.other-keys',
    ...['restore.hooks-off', 'restore.encryption-key', 'drill.no-encryption-config'],
    ...['controlplane.secret-denied', 'controlplane.no-requester', 'controlplane.hooks-off'],
    ...[
      'keys.format',
      'keys.malformed',
      'keys.passphrase',
      'keys.permissions',
      'keys.read-only',
      'keys.unreadable',
    ],
  ],
  unreachable: [
    ...[
      'etcd.busy',
      'etcd.connect-timeout',
      'etcd.connection-lost',
      'etcd.deadline',
      'etcd.dns',
      'etcd.refused',
    ],
    ...['restore.agent-away', 'restore.busy'],
    ...['tenant.compacted', 'tenant.namespace-terminating'],
    ...['agent.connection-lost', 'agent.deadline', 'agent.unreachable', 'admission.deadline'],
    ...['etcd.snapshot-cut', 'etcd.snapshot-idle', 'etcd.unavailable', 'etcd.unreachable'],
    ...['kubernetes.busy', 'kubernetes.not-yet', 'kubernetes.unavailable', 'kubernetes.unreachable'],
    ...['store.busy', 'store.unreachable', 'store.upload-lost', 'backup.member-lags'],
    ...[
      'capture.base-behind',
      'capture.contended',
      'repository.contended',
      'repository.history-differs',
      'repository.too-late',
    ],
  ],
  superseded: ['capture.superseded'],
  failed: [
    ...[
      'kubernetes.conflict',
      'kubernetes.exists',
      'kubernetes.gone',
      'kubernetes.invalid',
      'kubernetes.failed',
      'store.elsewhere',
    ],
    ...['kubernetes.not-leader', 'kubernetes.refused', 'kubernetes.too-large'],
    ...['attachments.differs', 'attachments.format', 'attachments.in-the-way', 'points.exists'],
    ...[
      'repository.chain-taken',
      'repository.other-timeline',
      'repository.segment-place',
      'repository.trims-exhausted',
    ],
    ...['backup.cluster-name', 'backup.compacted-meanwhile', 'backup.last-good', 'backup.other-cluster'],
    ...['backup.stream-limit', 'drill.failed', 'drill.api-server-silent', 'drill.etcd-silent'],
    ...['drill.summary', 'drill.no-image', 'drill.carrier', 'drill.killed'],
    ...[
      'disk.failed',
      'disk.full',
      'spool.corrupt',
      'spool.failed',
      'spool.full',
      'keys.exists',
      'keys.unwritable',
    ],
    ...[
      'etcd.auth-off',
      'etcd.closed',
      'etcd.learner',
      'etcd.mixed-clusters',
      'etcd.no-member',
      'etcd.no-space',
    ],
    ...['etcd.protocol', 'etcd.rejected', 'etcd.unsupported', 'rpc.proto', 'thread.died', 'thread.failed'],
    ...[
      'repository.ambiguous',
      'repository.attachment-plaintext',
      'repository.document-size',
      'repository.document-value',
    ],
    ...['repository.foreign', 'repository.format', 'repository.grace-over', 'repository.known-points'],
    ...[
      'repository.no-base',
      'repository.base-missing',
      'restore.failed',
      'repository.place',
      'repository.other-cluster',
      'repository.removed',
      'repository.restores-exhausted',
    ],
    ...['repository.timelines-exhausted', 'restore.data-dir-exists', 'restore.wal-dir-exists'],
    ...['restore.backup-not-completed', 'restore.brought-back', 'restore.cancelled', 'restore.certificate'],
    ...['restore.committed', 'restore.deadline', 'restore.deleted', 'restore.grafts', 'restore.hook-failed'],
    ...['rescue.exists', 'rescue.in-use', 'rescue.no-room'],
    ...['restore.given-up', 'restore.settled', 'restore.too-few', 'restore.waits', 'restore.peers-away'],
    ...['restore.interrupted', 'restore.journal', 'restore.local-store', 'restore.many-clusters'],
    ...['restore.no-agent', 'restore.no-api-server', 'restore.no-etcd'],
    ...['restore.not-serving', 'restore.not-staged', 'restore.not-stopped', 'restore.not-told'],
    ...['restore.order', 'restore.other-cluster', 'restore.other-store', 'restore.point'],
    ...['restore.leases-ended', 'restore.service', 'restore.unmanaged'],
    ...['restore.no-space', 'restore.version', 'store.exists', 'store.failed', 'store.full', 'store.name'],
    ...['store.range', 'store.unsupported', 'verify.grouping'],
  ],
};

/** Rooms whose other codes all mean one thing: a wrong command line, a certificate, what is wrong with a database. */
const KIND_OF_ROOM = new Map<string, ErrorKind>([
  ['usage', 'usage'],
  ['pki', 'refused'],
  ['capture', 'failed'],
  // Of the agent's own; those of calls to it are ruled one by one.
  ['agent', 'failed'],
  ['controlplane', 'failed'],
  ['admission', 'failed'],
  ['tenant', 'failed'],
  ['point', 'notFound'],
  ...['alarm', 'auth', 'bolt', 'cluster', 'file', 'lease', 'members', 'merge', 'meta', 'mvcc', 'verify'].map(
    (room) => [room, 'unsound'] as const,
  ),
]);

/** Codes that the source puts together, and that mean something else than their rooms. */
const PUT_TOGETHER: readonly (readonly [string, ErrorKind])[] = [['point.break', 'unsound']];

const KIND_OF_CODE = new Map([
  ...PUT_TOGETHER,
  ...Object.entries(CODES_BY_KIND).flatMap(([kind, codes]) =>
    codes.map((code) => [code, kind as ErrorKind] as const),
  ),
]);
