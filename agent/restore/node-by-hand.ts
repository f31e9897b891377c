import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { type Journal, type JournalEntry, openJournal } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { RestoreDirs } from '../../lib/restore/cluster/swap-dirs.ts';
import { discoverEtcd } from '../etcd/discover-etcd.ts';
import { agentSettings, type SettingName } from '../settings.ts';
import { dirsOf, memberData } from './member-data.ts';
import { MemberRestore } from './member-restore.ts';
import type { Deadline } from './node-service.ts';
import { nodeServices } from './node-services.ts';
import { etcdOfNode } from './plan-of-request.ts';
import type { Patience } from './static-pod-service.ts';

/** The node that a person restores by hand, with the steps of an agent and a journal of its own. */
export interface NodeByHand {
  /** What was begun here and is not over. */
  readonly underWay: JournalEntry | undefined;
  /** The last one that is over. */
  readonly last: JournalEntry | undefined;
  /** The etcd of this node, as an agent finds it. Rejects with `agent.no-etcd` and `agent.etcd-config`. */
  find(): Promise<
    JournalEntry['etcd'] & { readonly peerUrls: readonly string[]; readonly initialCluster: string }
  >;
  dirsOf(entry: JournalEntry): RestoreDirs;
  /** Kept with fsync: from here on the restore is known. Throws `restore.unmanaged` where etcd can't be stopped from here. */
  begin(entry: JournalEntry): Promise<JournalEntry>;
  /** The data lies ready. */
  staged(entry: JournalEntry, staged: NonNullable<JournalEntry['staged']>): Promise<JournalEntry>;
  /** How long the steps from here on may take, each. */
  allow(operation: string, ms: number): Promise<void>;
  steps(operation: string): MemberRestore;
}

export interface NodeByHandOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: Readonly<Partial<Record<SettingName, string>>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Default for a kubelet. */
  readonly patience?: Patience | undefined;
}

/**
 * Looks at this node as its agent would, by the agent's settings. Rejects with `agent.settings`, `restore.journal`, and
 * `restore.busy` where the agent's own journal has a restore that is not over.
 */
export async function nodeByHand(options: NodeByHandOptions): Promise<NodeByHand> {
  const { env, flags, clock, signal, patience } = options;
  // Its name is not needed: nobody else is told.
  const settings = agentSettings({ ETCDGUARDIAN_NODE: 'this-node', ...env }, flags);
  await requireAgentIdle(join(settings.stateDir, 'restores'));
  const folder = join(settings.stateDir, 'restores-by-hand');
  const journal = await openJournal(folder);
  const services = (entry: JournalEntry) =>
    nodeServices(entry.etcd, join(folder, entry.operation), {}, patience);
  return {
    underWay: journal.list().find(({ state }) => stageOf(state) !== 'over'),
    last: journal.list().find(({ state }) => stageOf(state) === 'over'),
    async find() {
      const place = await discoverEtcd(settings);
      return { ...etcdOfNode(place), peerUrls: place.peerUrls, initialCluster: place.initialCluster };
    },
    dirsOf,
    async begin(entry) {
      const { etcd, apiServers } = services(entry);
      // What couldn't be stopped later is found out now.
      for (const service of [etcd, ...(entry.plan.quiesce ? apiServers : [])]) await service.isStopped();
      return await written(journal, entry);
    },
    staged: (entry, staged) => written(journal, { ...entry, state: 'Staged', furthest: 'Staged', staged }),
    async allow(operation, ms) {
      const entry = journal.find(operation);
      if (entry !== undefined) await journal.write({ ...entry, deadlineMs: clock().getTime() + ms });
    },
    steps: (operation) =>
      new MemberRestore(operation, {
        ...{ journal, clock, services, signal },
        data: { ...memberData, verify: verifyAmongOthers },
      }),
  };
}

async function written(journal: Journal, entry: JournalEntry): Promise<JournalEntry> {
  await journal.write(entry);
  return entry;
}

/**
 * As `verifyMember`, but other nodes may be through before this one, and their API servers write already: the hash is
 * asked for at the revision that was restored. Where that was compacted meanwhile there is nothing left to compare.
 */
async function verifyAmongOthers(
  { etcd: { endpoints, tls } }: JournalEntry,
  staged: NonNullable<JournalEntry['staged']>,
  deadline: Deadline,
): Promise<void> {
  await using client = connectEtcd({
    endpoints,
    ...(tls === undefined ? {} : { tls }),
    // It has served a moment ago.
    connectTimeoutMs: Math.max(1, Math.min(PATIENCE_MS, Math.floor(deadline.leftMs()))),
  });
  const endpoint = client.endpoints[0] ?? '';
  const call = { signal: deadline.signal, timeoutMs: Math.max(1, Math.floor(deadline.leftMs())) };
  const { header } = await client.status(endpoint, call);
  if (header.clusterId !== staged.clusterId || header.memberId !== staged.memberId)
    throw new GuardianError(
      'restore.other-member',
      `the etcd at ${endpoint} is member ${header.memberId.toString(16)} of cluster ${header.clusterId.toString(16)}, not ${staged.memberId.toString(16)} of ${staged.clusterId.toString(16)}`,
      { hint: 'Another etcd answers there, or it runs on another data dir than was found.' },
    );
  const hash = await client.hashKV(endpoint, staged.revision, call).catch((error: unknown) => {
    if (hasCode(error, 'etcd.compacted')) return undefined;
    throw error;
  });
  if (hash === undefined || hash.hash === staged.hashKv) return;
  throw new GuardianError(
    'restore.hash-mismatch',
    `etcd answers HashKV ${hash.hash} at revision ${staged.revision}; what was staged has ${staged.hashKv}`,
    { hint: 'The disk is bad, or another restore was made on this node. Go back: --roll-back.' },
  );
}

const PATIENCE_MS = 60_000;

/** The agent's restores and these must not meet. */
async function requireAgentIdle(folder: string): Promise<void> {
  const there = await readdir(folder).then(
    (names) => names.some((name) => name.endsWith('.json')),
    () => false,
  );
  if (!there) return;
  const open = (await openJournal(folder)).list().find(({ state }) => stageOf(state) !== 'over');
  if (open === undefined) return;
  throw new GuardianError(
    'restore.busy',
    `restore ${open.operation} is ${open.state} on this node, by its agent`,
    {
      hint: 'Start the agent, which brings it to its end ("etcdguardian restore status", "restore settle"). Only if it can\'t be started ever again: move its journal aside.',
      retryable: true,
    },
  );
}
