import type { Description, EtcdFound } from '../../agent-api/description.ts';
import { judgeVersions, type FileVersions } from '../../etcd/datadir/version-rules.ts';
import { WAL_FILE_SIZE } from '../../etcd/datadir/wal.ts';
import { GuardianError } from '../../guardian-error.ts';
import { restoreStateName, stageOf } from './restore-states.ts';

/** What one agent told, or why it told nothing. */
export interface NodeFacts {
  readonly node: string;
  /** host:port of its agent. */
  readonly address: string;
  readonly clockSkewMs: number;
  readonly description: Description | undefined;
  readonly problem: GuardianError | undefined;
}

/** The data that is to be restored. */
export interface PointFacts {
  readonly cluster: string;
  readonly timeline: string;
  /** The id of the base. */
  readonly chain: string;
  readonly revision: bigint;
  /** When the cluster was at that revision; undefined: not known. */
  readonly time: Date | undefined;
  /** Of the etcd that wrote it. */
  readonly versions: FileVersions;
  /** Bytes of the database, about. */
  readonly bytes: number;
  /** For people, e.g. `backup 2026… from s3://b/p`. */
  readonly label: string;
  /** The highest revision that the store knows to have been served. */
  readonly highWater: bigint;
}

export interface RestoreWish {
  readonly operation: string;
  /** This cluster's own name in stores. */
  readonly ownCluster: string;
  readonly quiesce: boolean;
  readonly checkVersions: boolean;
  readonly allowMismatch: boolean;
  readonly hooks: boolean;
  readonly hooksAllowed: boolean;
  /** What the caller believes etcd to be; it only confirms. */
  readonly confirm: { readonly endpoints: readonly string[]; readonly dataDir: string | undefined };
}

export interface PlannedParticipant {
  readonly node: string;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly agentAddress: string;
  readonly clockSkewMs: number;
  readonly dataDir: string;
  readonly etcdVersion: string;
  readonly apiServers: readonly string[];
}

/** What will be done, if nothing stands in its way. */
export interface ClusterPlan {
  readonly participants: readonly PlannedParticipant[];
  readonly point: PointFacts;
  /** Why it must not be done, the weightiest first. */
  readonly problems: readonly GuardianError[];
  readonly warnings: readonly string[];
  /** The highest revision that is known to have been served, by the store and by members that answer. */
  readonly highWater: bigint;
  readonly lines: readonly string[];
}

/** Everything that can be known before anything is stopped, checked at once. No clock, no network. */
export function planClusterRestore(
  nodes: readonly NodeFacts[],
  point: PointFacts,
  wish: RestoreWish,
): ClusterPlan {
  const problems: GuardianError[] = [];
  const warnings: string[] = [];
  const found = nodes.filter(hasEtcd);
  const participants = participantsOf(nodes, found, problems);
  const known = found.filter(({ node }) => participants.some((participant) => participant.node === node));
  if (participants.length > 1) problems.unshift(manyMembers(participants.length));
  for (const facts of known) {
    checkNode(facts, point, wish, problems, warnings);
    checkVersions(facts, point, wish, problems, warnings);
  }
  confirm(known, wish, problems);
  if (wish.hooks && !(wish.hooksAllowed && known.every(({ description }) => description.hooksAllowed)))
    problems.push(hooksOff());
  if (point.cluster !== wish.ownCluster)
    warnings.push(`the backup is of another cluster (${point.cluster}), which becomes this one`);
  const revisions = known.map(({ description }) => description.etcd.revision);
  const highWater = [point.highWater, point.revision, ...revisions].reduce((a, b) => (a > b ? a : b));
  return {
    ...{ participants, point, problems, warnings, highWater },
    lines: linesOf(participants, point, wish, warnings),
  };
}

interface FoundNode extends NodeFacts {
  readonly description: Description & { readonly etcd: EtcdFound };
}

function hasEtcd(facts: NodeFacts): facts is FoundNode {
  return facts.description?.etcd !== undefined;
}

/** Every member of the one etcd cluster, each with the agent of its node. */
function participantsOf(
  nodes: readonly NodeFacts[],
  found: readonly FoundNode[],
  problems: GuardianError[],
): PlannedParticipant[] {
  for (const { node, problem } of nodes)
    if (problem !== undefined)
      problems.push(
        new GuardianError('restore.agent-away', `the agent of ${node} doesn't answer: ${problem.message}`, {
          hint: 'Every control-plane node must take part: see to its agent (kubectl logs), or remove the node first.',
          retryable: true,
        }),
      );
  if (found.length === 0) {
    problems.push(
      new GuardianError('restore.no-etcd', 'no agent has found an etcd on its node', {
        hint: 'Run agents on the nodes of etcd, or restore by hand on the node with "etcdguardian restore".',
        retryable: true,
      }),
    );
    return [];
  }
  const clusters = new Set(
    found.flatMap(({ description: { etcd } }) => (etcd.clusterId === 0n ? [] : [etcd.clusterId])),
  );
  if (clusters.size > 1)
    problems.push(
      new GuardianError(
        'restore.many-clusters',
        `the agents are beside ${clusters.size} different etcd clusters`,
        {
          hint: 'Restore by hand on the nodes of the one that is meant, with "etcdguardian restore".',
        },
      ),
    );
  const members =
    found.find(({ description: { etcd } }) => etcd.members.length > 0)?.description.etcd.members ?? [];
  const away = members.filter((member) => !found.some(({ description: { etcd } }) => isMember(etcd, member)));
  for (const { name, peerUrls } of away)
    problems.push(
      new GuardianError('restore.no-agent', `no agent is beside member ${name} (${peerUrls.join(', ')})`, {
        hint: 'Every member is restored together: run an agent on its node, or remove the member first.',
      }),
    );
  return found.map(({ node, address, clockSkewMs, description: { etcd } }) => {
    const member = members.find((one) => isMember(etcd, one));
    return {
      ...{ node, agentAddress: address, clockSkewMs },
      name: member?.name ?? etcd.name,
      peerUrls: member?.peerUrls ?? etcd.peerUrls,
      ...{ dataDir: etcd.dataDir, etcdVersion: etcd.version, apiServers: etcd.apiServers },
    };
  });
}

function isMember(etcd: EtcdFound, member: EtcdFound['members'][number]): boolean {
  return etcd.memberId === 0n ? etcd.name === member.name : etcd.memberId === member.id;
}

/** As `requireRoom` counts: the data, room to grow, and two files of the log. */
const ROOM = 128 * 1024 * 1024 + 2 * WAL_FILE_SIZE;
const LEAST_LIFE_MS = 3_600_000;
const MOST_SKEW_MS = 60_000;

function checkNode(
  { node, clockSkewMs, description }: FoundNode,
  point: PointFacts,
  { operation, quiesce }: RestoreWish,
  problems: GuardianError[],
  warnings: string[],
): void {
  const { etcd, restores, certificateEndsMs, timeMs } = description;
  const add = (code: string, message: string, hint: string, retryable = false): void => {
    problems.push(new GuardianError(code, message, { hint, retryable }));
  };
  const other = restores.find((restore) => {
    const state = restoreStateName(restore.state);
    return restore.operation !== operation && state !== undefined && stageOf(state) !== 'over';
  });
  if (other !== undefined)
    add(
      'restore.busy',
      `restore ${other.operation} is under way on ${node} (${other.state})`,
      'Let it end, then create another EtcdRestore.',
    );
  if (etcd.runsAs === 'RUNS_AS_UNKNOWN' || etcd.dataDir === '')
    add(
      'restore.unmanaged',
      `the agent of ${node} can't stop and start its etcd (${etcd.runsFrom === '' ? 'it is known by its address only' : etcd.runsFrom})`,
      'Restore by hand on the node with "etcdguardian restore".',
    );
  if (quiesce && etcd.apiServers.length === 0)
    add(
      'restore.no-api-server',
      `no API server was found on ${node}, so none can be stopped`,
      'If none uses this etcd, say quiesceCluster: false. If some do elsewhere, restore by hand: they must not run meanwhile.',
    );
  if (etcd.dataDiskFree < point.bytes + ROOM)
    add(
      'restore.no-space',
      `the restore needs ${point.bytes + ROOM} bytes on the disk of ${etcd.dataDir} on ${node}, and ${etcd.dataDiskFree} are free`,
      'Free some space there; the old data is kept beside the new.',
    );
  if (certificateEndsMs - timeMs < LEAST_LIFE_MS)
    add(
      'restore.certificate',
      `the certificate of the agent of ${node} ends within the hour`,
      'See why it is not renewed: kubectl logs of the agent and the control plane.',
      true,
    );
  if (Math.abs(clockSkewMs) > MOST_SKEW_MS)
    warnings.push(`the clock of ${node} is ${Math.round(clockSkewMs / 1000)} s off`);
  if (etcd.unreachable !== undefined)
    warnings.push(
      `the etcd of ${node} doesn't answer (${etcd.unreachable.message}): what it has that no backup has is lost`,
    );
}

function checkVersions(
  { node, description: { etcd } }: FoundNode,
  point: PointFacts,
  { checkVersions: check, allowMismatch }: RestoreWish,
  problems: GuardianError[],
  warnings: string[],
): void {
  if (!check) return;
  if (etcd.version === '') {
    warnings.push(`the version of etcd on ${node} is not known, as it doesn't answer`);
    return;
  }
  const { verdict, reason } = judgeVersions(point.versions, etcd.version);
  if (verdict === 'fine') return;
  if (verdict === 'warn' && allowMismatch) warnings.push(`${node}: ${reason}`);
  else
    problems.push(
      new GuardianError(
        'restore.version',
        `etcd ${etcd.version} on ${node} and the backup don't fit: ${reason}`,
        {
          hint:
            verdict === 'warn'
              ? 'Install the version of the backup first, or say versionCompatibility.allowMismatch: true.'
              : 'Install the version of the backup on the node first.',
        },
      ),
    );
}

function confirm(
  known: readonly FoundNode[],
  { confirm: given }: RestoreWish,
  problems: GuardianError[],
): void {
  const urls = new Set(
    known.flatMap(({ description: { etcd } }) =>
      [...etcd.clientUrls, ...etcd.members.flatMap(({ clientUrls }) => clientUrls)].map(hostOf),
    ),
  );
  const other = given.endpoints.find((endpoint) => !urls.has(hostOf(endpoint)));
  if (other !== undefined)
    problems.push(otherCluster(`etcdCluster names ${other}, and the members are at ${[...urls].join(', ')}`));
  const { dataDir } = given;
  const dir = known.find(
    ({ description: { etcd } }) => dataDir !== undefined && plain(etcd.dataDir) !== plain(dataDir),
  );
  if (dir !== undefined)
    problems.push(
      otherCluster(`etcdCluster names ${dataDir ?? ''}, and ${dir.node} has ${dir.description.etcd.dataDir}`),
    );
}

function hostOf(url: string): string {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

function plain(path: string): string {
  return path.replace(/\/+$/, '');
}

function linesOf(
  participants: readonly PlannedParticipant[],
  { label, revision, time, bytes }: PointFacts,
  { quiesce }: RestoreWish,
  warnings: readonly string[],
): string[] {
  return [
    `revision ${revision}${time === undefined ? '' : ` of ${time.toISOString()}`} from ${label}, about ${Math.ceil(bytes / 1e6)} MB`,
    ...participants.map(
      ({ node, name, dataDir, apiServers }) =>
        `${node}: member ${name} in ${dataDir}${quiesce ? `; stops ${apiServers.join(', ') || 'no API server'}, then etcd` : '; stops etcd'}`,
    ),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}

export function manyMembers(count: number): GuardianError {
  return new GuardianError(
    'restore.many-members',
    `this etcd has ${count} members, and an EtcdRestore restores only one of one member so far`,
    {
      hint: 'Restore by hand: stop the API servers and etcd on all nodes, then run "etcdguardian restore" on each with the same --initial-cluster; see docs/cluster-restore.md.',
    },
  );
}

function otherCluster(message: string): GuardianError {
  return new GuardianError('restore.other-cluster', message, {
    hint: 'etcdCluster only confirms what the agents found: correct it, or leave it out.',
  });
}

function hooksOff(): GuardianError {
  return new GuardianError('restore.hooks-off', 'this restore has hooks, and hooks are turned off here', {
    hint: "Leave the hooks out, or let an administrator turn them on in the chart's values (hooks.enabled) for control plane and agents.",
  });
}
