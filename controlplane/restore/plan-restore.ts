import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { hooksOf, type RestoreHooks } from './restore-hooks.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { openTaskRepository } from '../../lib/backup/task/task-repository.ts';
import { type ClusterPlan, planClusterRestore } from '../../lib/restore/cluster/cluster-plan.ts';
import type { NodeFacts } from '../../lib/restore/cluster/node-facts.ts';
import type { StageOrder } from '../../lib/restore/cluster/participant.ts';
import { recordRestore } from '../../lib/restore/cluster/record-restore.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import { rightsSettings } from '../judge-asked.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { encryptionAtRestLines } from './encryption-at-rest.ts';
import { ownObjects } from './own-objects.ts';
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
  const planned = planClusterRestore(await nodeFacts(tools, signal), facts, {
    ...{ operation: uid, ownCluster: tools.cluster, quiesce: spec.quiesceCluster },
    checkVersions: spec.versionCompatibility.check,
    allowMismatch: spec.versionCompatibility.allowMismatch,
    hooks: hooks.pre.length + hooks.post.length > 0,
    ...{ hooksAllowed: tools.settings.hooks, withoutNodes: withoutNodes(restore) },
    confirm: { endpoints: spec.etcdCluster?.endpoints ?? [], dataDir: spec.etcdCluster?.dataDir },
  });
  const atRest = encryptionAtRestLines(backup.manifest.encryptionAtRest, source.drill);
  const plan = { ...planned, lines: [...planned.lines, ...atRest] };
  const network = storeNetwork(storageLocation, rightsSettings(tools).tenantEndpoints);
  return {
    ...{ plan, source, hooks },
    async settle(subject, until) {
      const by = `EtcdRestore ${namespace}/${metadata.name} (${uid})`;
      const { token, bumpTo } = await recordRestore(repository, backup, plan, { operation: uid, by }, until);
      return {
        ...{ store: sentStore(storageLocation, secrets, network), keys: sentKeys(secrets) },
        ...{ cluster: facts.cluster, token, bumpTo, quiesce: spec.quiesceCluster, subject },
        ...(await ownObjects(restore, plan, tools, until)),
        point: { timeline: facts.timeline, chain: facts.chain, revision: facts.revision },
        members: plan.participants.map(({ node, name, peerUrls, agentAddress }) => ({
          ...{ node, name, peerUrls, agentAddress },
        })),
      };
    },
  };
}

/** Names of nodes, with commas, that are left out of a restore; what that means for them is in docs/cluster-restore.md. */
const WITHOUT_NODES_ANNOTATION = 'etcdguardian.io/without-nodes';

function withoutNodes({ metadata: { annotations } }: EtcdRestore): string[] {
  const text = annotations?.[WITHOUT_NODES_ANNOTATION] ?? '';
  return text.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
}

async function nodeFacts(tools: ControlPlaneTools, signal: AbortSignal): Promise<NodeFacts[]> {
  const agents = await tools.agents.survey(0, signal);
  return agents.map(({ node, address, clockSkewMs = 0, description, problem }) => ({
    ...{ node, address, clockSkewMs, problem },
    // What it told before it went away says nothing about now.
    description: problem === undefined ? description : undefined,
  }));
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
