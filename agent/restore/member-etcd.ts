import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import type { Deadline } from './node-service.ts';
import { waitUntil } from './wait-until.ts';

type EtcdOfNode = JournalEntry['etcd'];

/** Asks the member of this node until it serves: it answers, and has a leader. Rejects with `restore.not-serving`. */
export async function untilServing(etcd: EtcdOfNode, deadline: Deadline): Promise<void> {
  let last: unknown = new Error('it was not asked');
  const serves = await waitUntil(async () => {
    try {
      await withMember(etcd, async (client, endpoint) => {
        const status = await client.status(endpoint, { signal: deadline.signal, timeoutMs: ASK_MS });
        if (status.leader === undefined) throw new Error('it has no leader');
      });
      return true;
    } catch (error) {
      last = error;
      return false;
    }
  }, deadline);
  if (serves) return;
  throw new GuardianError('restore.not-serving', `etcd doesn't serve on ${etcd.dataDir}: ${reasonOf(last)}`, {
    hint: "Look at etcd's log on the node (crictl logs, journalctl).",
    retryable: true,
    cause: last,
  });
}

/**
 * Whether the running member is the one that was staged, entry by entry. Rejects with `restore.other-member` and
 * `restore.hash-mismatch`, and with the client's errors.
 */
export async function verifyMember(
  etcd: EtcdOfNode,
  staged: NonNullable<JournalEntry['staged']>,
  deadline: Deadline,
): Promise<void> {
  await withMember(etcd, async (client, endpoint) => {
    const hash = await client.hashKV(endpoint, 0n, {
      signal: deadline.signal,
      timeoutMs: Math.max(1, Math.floor(deadline.leftMs())),
    });
    const { clusterId, memberId, revision } = hash.header;
    if (clusterId !== staged.clusterId || memberId !== staged.memberId) {
      throw new GuardianError(
        'restore.other-member',
        `the etcd at ${endpoint} is member ${memberId.toString(16)} of cluster ${clusterId.toString(16)}, not ${staged.memberId.toString(16)} of ${staged.clusterId.toString(16)}`,
        { hint: 'Another etcd answers there, or it runs on another data dir than the agent found.' },
      );
    }
    if (hash.hash === staged.hashKv && revision === staged.revision) return;
    throw new GuardianError(
      'restore.hash-mismatch',
      `etcd answers HashKV ${hash.hash} at revision ${revision}; what was staged has ${staged.hashKv} at ${staged.revision}`,
      {
        hint: 'Something wrote to etcd before it was verified, or the disk is bad. Are all API servers stopped?',
      },
    );
  });
}

const ASK_MS = 2_000;

async function withMember(
  { endpoints, tls }: EtcdOfNode,
  ask: (client: EtcdClient, endpoint: string) => Promise<void>,
): Promise<void> {
  await using client = connectEtcd({
    endpoints,
    ...(tls === undefined ? {} : { tls }),
    connectTimeoutMs: ASK_MS,
  });
  await ask(client, client.endpoints[0] ?? '');
}
