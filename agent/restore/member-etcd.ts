import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient, HashKV } from '../../lib/etcd/client/etcd-client.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { visibleText } from '../../lib/visible-text.ts';
import type { Deadline } from './node-service.ts';
import { waitUntil } from './wait-until.ts';

type EtcdOfNode = JournalEntry['etcd'];

/** Asks the member of this node until it serves: it answers, and has a leader. Rejects with `restore.not-serving`. */
export async function untilServing(etcd: EtcdOfNode, deadline: Deadline): Promise<void> {
  let last: unknown = new Error('it was not asked');
  const serves = await waitUntil(async () => {
    try {
      await withMember(etcd, ASK_MS, async (client, endpoint) => {
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
 * Whether the running member is the one that was staged, entry by entry. Rejects with `restore.other-member`,
 * `restore.hash-mismatch`, `restore.written` and `restore.leases-ended`, and with the client's errors.
 *
 * Its revision may be a later one: leases end by themselves as soon as there is a leader, and take their keys with them.
 * Then it is the hash at the foretold revision that counts. A hash depends on the entries up to its revision and on the
 * compaction alone, so that what came later can't change it; and a compaction behind that revision makes etcd refuse it.
 * What came later must be explained, too: API servers are stopped, so nobody writes, and all there can be are deletions of
 * keys that had a lease. Each of these revisions is looked at. (etcd before 3.4.27 and 3.5.10 refuses the hash at the very
 * revision of a compaction, which is where restored data begins: there a later revision is no proof, as a newer hash leaves
 * out what those keys were. So it isn't verified, and what came later tells why.)
 */
export async function verifyMember(
  etcd: EtcdOfNode,
  staged: NonNullable<JournalEntry['staged']>,
  deadline: Deadline,
): Promise<void> {
  // It has served a moment ago: if it is slow to answer now, that is no reason to take everything back.
  const patienceMs = Math.max(ASK_MS, Math.min(MOST_PATIENCE_MS, Math.floor(deadline.leftMs())));
  await withMember(etcd, patienceMs, async (client, endpoint) => {
    const hashAt = (at: bigint): Promise<HashKV> =>
      client.hashKV(endpoint, at, {
        signal: deadline.signal,
        timeoutMs: Math.max(1, Math.floor(deadline.leftMs())),
      });
    const newest = await hashAt(0n);
    const hash =
      newest.header.revision > staged.revision
        ? await hashAt(staged.revision).catch((error: unknown) => {
            if (hasCode(error, 'etcd.compacted')) return undefined;
            throw error;
          })
        : newest;
    const { clusterId, memberId, revision } = newest.header;
    if (clusterId !== staged.clusterId || memberId !== staged.memberId) {
      throw new GuardianError(
        'restore.other-member',
        `the etcd at ${endpoint} is member ${memberId.toString(16)} of cluster ${clusterId.toString(16)}, not ${staged.memberId.toString(16)} of ${staged.clusterId.toString(16)}`,
        { hint: 'Another etcd answers there, or it runs on another data dir than the agent found.' },
      );
    }
    if (hash === undefined) {
      if (newest.compactRevision > staged.revision) throw compacted(newest.compactRevision);
      await requireLeasesOnly(client, endpoint, staged, revision, deadline);
      throw leasesEnded(revision - staged.revision);
    }
    const { hashRevision } = hash;
    if (hash.hash === staged.hashKv && hashRevision === staged.revision) {
      if (revision > staged.revision) await requireLeasesOnly(client, endpoint, staged, revision, deadline);
      return;
    }
    throw new GuardianError(
      'restore.hash-mismatch',
      `etcd answers HashKV ${hash.hash} at revision ${hashRevision}; what was staged has ${staged.hashKv} at ${staged.revision}`,
      {
        hint: 'Something wrote to etcd before it was verified, or the disk is bad. Are all API servers stopped?',
      },
    );
  });
}

/** Each change behind what was staged is the end of a lease. */
async function requireLeasesOnly(
  client: EtcdClient,
  endpoint: string,
  { revision }: NonNullable<JournalEntry['staged']>,
  newest: bigint,
  deadline: Deadline,
): Promise<void> {
  const everything = { key: '\0', rangeEnd: '\0' };
  const late = AbortSignal.timeout(Math.max(1, Math.floor(deadline.leftMs())));
  const watch = client.watch({
    ...{ ...everything, startRevision: revision + 1n, prevKv: true, endpoint },
    signal: AbortSignal.any([deadline.signal, late]),
  });
  for await (const { events } of watch) {
    for (const { type, kv, prevKv } of events)
      if (type !== 'delete' || prevKv === undefined || prevKv.lease === 0n) throw written(kv);
    // A response has all changes of its revisions, and one revision may have many.
    if ((events.at(-1)?.kv.modRevision ?? 0n) >= newest) return;
  }
}

function written({
  key,
  modRevision,
}: {
  readonly key: Buffer;
  readonly modRevision: bigint;
}): GuardianError {
  return new GuardianError(
    'restore.written',
    `something wrote ${visibleText(key.toString())} to the restored etcd at revision ${modRevision}, before it was verified`,
    { hint: 'Stop whatever else uses this etcd, API servers on other machines for one, then restore again.' },
  );
}

function compacted(at: bigint): GuardianError {
  return new GuardianError(
    'restore.written',
    `something compacted the restored etcd at revision ${at}, before it was verified`,
    { hint: 'Stop whatever else uses this etcd, API servers on other machines for one, then restore again.' },
  );
}

/** Nobody wrote: each change was looked at. */
function leasesEnded(changes: bigint): GuardianError {
  return new GuardianError(
    'restore.leases-ended',
    `leases of the restored data ended before it was verified (${changes} revisions), and this version of etcd can't tell the hash before that`,
    {
      hint: 'Nothing is wrong with the data, and nobody wrote: the shortest lease was faster. Restore again, or install etcd 3.4.27, 3.5.10 or newer first, which can be asked.',
      retryable: true,
    },
  );
}

const ASK_MS = 2_000;
const MOST_PATIENCE_MS = 60_000;

async function withMember(
  { endpoints, tls }: EtcdOfNode,
  connectTimeoutMs: number,
  ask: (client: EtcdClient, endpoint: string) => Promise<void>,
): Promise<void> {
  await using client = connectEtcd({
    endpoints,
    ...(tls === undefined ? {} : { tls }),
    connectTimeoutMs,
  });
  await ask(client, client.endpoints[0] ?? '');
}
