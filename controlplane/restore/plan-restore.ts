import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { hooksOf, type RestoreHooks } from './restore-hooks.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { openTaskRepository } from '../../lib/backup/task/task-repository.ts';
import {
  type ClusterPlan,
  type NodeFacts,
  planClusterRestore,
} from '../../lib/restore/cluster/cluster-plan.ts';
import type { StageOrder } from '../../lib/restore/cluster/participant.ts';
import { BUMP_MARGIN, plannedBump } from '../../lib/restore/restore-plan.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { isUnwritable } from '../../lib/repository/unwritable-store.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { findPoint } from './restore-point.ts';
import type { RestoreSource } from './restore-source.ts';

/** A restore that can be begun, or tells why it can't. */
export interface PlannedRestore {
  readonly plan: ClusterPlan;
  readonly source: RestoreSource;
  readonly hooks: RestoreHooks;
  /** Records the restore in the store, and resolves to what participants are given. Not for a dry run. */
  settle(subject: string, signal: AbortSignal): Promise<StageOrder>;
}

const SPOOL = { memoryBytes: 4 << 20, diskBytes: 1 << 30 };

/**
 * Reads what is asked, what the store has and what the agents see, as whoever asked where that matters, and plans. Changes
 * nothing. Rejects where not even a plan can be made; what stands in the way of a plan is among its problems.
 */
export async function planRestore(
  restore: EtcdRestore,
  source: RestoreSource,
  tools: ControlPlaneTools,
  signal: AbortSignal,
): Promise<PlannedRestore> {
  const { metadata, spec } = restore;
  const { namespace = '', uid = '' } = metadata;
  const { storageLocation, encryption } = source;
  if (storageLocation.provider === 'Local') throw localStore(storageLocation.bucket);
  const whose = { namespace, requester: spec.requestedBy };
  const secrets = await readRunSecrets({ storageLocation, encryption }, whose, tools, signal);
  const { repository } = await openTaskRepository(
    { location: storageLocation, secret: secrets.store, keys: secrets.keys },
    {
      ...{ clock: tools.clock, signal, knownPoints: undefined },
      spool: { folder: tools.settings.spoolDir, ...SPOOL },
      onWarning: (message) => {
        tools.log.write('warning', 'restore-store', message, { operation: uid });
      },
    },
  );
  const hasKey = secrets.keys.encryption.length > 0;
  const { facts, backup } = await findPoint(repository, source.place, spec, hasKey, signal);
  const hooks = hooksOf(spec);
  const plan = planClusterRestore(await nodeFacts(tools, signal), facts, {
    ...{ operation: uid, ownCluster: tools.cluster, quiesce: spec.quiesceCluster },
    checkVersions: spec.versionCompatibility.check,
    allowMismatch: spec.versionCompatibility.allowMismatch,
    hooks: hooks.pre.length + hooks.post.length > 0,
    hooksAllowed: tools.settings.hooks,
    confirm: { endpoints: spec.etcdCluster?.endpoints ?? [], dataDir: spec.etcdCluster?.dataDir },
  });
  const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
  return {
    ...{ plan, source, hooks },
    async settle(subject, until) {
      const { token, bumpTo } = await settled(repository, backup, plan, restore, until);
      return {
        ...{ store: sentStore(storageLocation, secrets, network), keys: sentKeys(secrets) },
        ...{ cluster: facts.cluster, token, bumpTo, quiesce: spec.quiesceCluster, subject },
        point: { timeline: facts.timeline, chain: facts.chain, revision: facts.revision },
        members: plan.participants.map(({ node, name, peerUrls, agentAddress }) => ({
          ...{ node, name, peerUrls, agentAddress },
        })),
      };
    },
  };
}

async function nodeFacts(tools: ControlPlaneTools, signal: AbortSignal): Promise<NodeFacts[]> {
  const agents = await tools.agents.survey(0, signal);
  return agents.map(({ node, address, clockSkewMs = 0, description, problem }) => ({
    ...{ node, address, clockSkewMs, problem },
    // What it told before it went away says nothing about now.
    description: problem === undefined ? description : undefined,
  }));
}

/** Token and first revision, written down in the store before anything is made with them. */
async function settled(
  repository: Repository,
  backup: SoundBackup,
  { participants, point, highWater }: ClusterPlan,
  { metadata: { namespace = '', name, uid = '' } }: EtcdRestore,
  signal: AbortSignal,
): Promise<{ readonly token: string; readonly bumpTo: bigint }> {
  const token = `etcdguardian-${uid}`;
  const first = (known: bigint): bigint =>
    plannedBump('auto', { currentRevision: highWater, highWater: known }) ?? highWater + BUMP_MARGIN;
  const members = participants.map((participant) => ({
    name: participant.name,
    peerUrls: participant.peerUrls,
  }));
  try {
    const { record } = await repository.joinRestore(
      {
        ...{ cluster: point.cluster, backup, members, token, bump: 'auto', firstRevision: first },
        revision: point.revision === backup.manifest.snapshot.currentRevision ? undefined : point.revision,
        own: members.map((member) => member.name),
        by: `EtcdRestore ${namespace}/${name} (${uid})`,
      },
      { signal },
    );
    const bumpTo = record.bumpTo ?? first(highWater);
    // A record of an earlier attempt may be from before the newest writes.
    return { token, bumpTo: bumpTo > highWater ? bumpTo : first(bumpTo) };
  } catch (error) {
    signal.throwIfAborted();
    // With credentials that only read, the operation's own token keeps the members apart from all others.
    if (isUnwritable(error)) return { token, bumpTo: first(highWater) };
    throw error;
  }
}

function localStore(folder: string): GuardianError {
  return new GuardianError(
    'restore.local-store',
    `backups in folder ${folder} lie on a node, out of the control plane's reach`,
    {
      hint: 'Restore by hand on that node with "etcdguardian restore", or from a backup in an object store.',
    },
  );
}
