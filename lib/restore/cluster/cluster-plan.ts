import { judgeVersions, type FileVersions } from '../../etcd/datadir/version-rules.ts';
import { WAL_FILE_SIZE } from '../../etcd/datadir/wal.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { NodeFacts } from './node-facts.ts';
import { type FoundNode, hasEtcd, planMembers, type PlannedParticipant } from './plan-members.ts';
import { otherUnderWay } from './restore-under-way.ts';

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
  /** Nodes that are left out on request: their members aren't restored, and must be made anew later. */
  readonly withoutNodes: readonly string[];
  /** What the caller believes etcd to be; it only confirms. */
  readonly confirm: { readonly endpoints: readonly string[]; readonly dataDir: string | undefined };
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
  const problems = underWay(nodes, wish);
  const warnings: string[] = [];
  const participants = planMembers(nodes, wish.withoutNodes, problems, warnings);
  const known = nodes
    .filter(hasEtcd)
    .filter(({ node }) => participants.some((participant) => participant.node === node));
  for (const facts of known) {
    checkNode(facts, point, wish, problems, warnings);
    checkVersions(facts, point, wish, problems, warnings);
  }
  checkMixture(known, problems, warnings);
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

/** Told by every agent: a node whose etcd is stopped for a restore shows none. */
function underWay(nodes: readonly NodeFacts[], { operation, withoutNodes }: RestoreWish): GuardianError[] {
  return nodes.flatMap(({ node, description }) => {
    if ([node, description?.etcd?.name ?? node].some((name) => withoutNodes.includes(name))) return [];
    return otherUnderWay(node, description?.restores ?? [], operation) ?? [];
  });
}

/** As `requireRoom` counts: the data, room to grow, and two files of the log. */
const ROOM = 128 * 1024 * 1024 + 2 * WAL_FILE_SIZE;
const LEAST_LIFE_MS = 3_600_000;
const MOST_SKEW_MS = 60_000;

function checkNode(
  { node, clockSkewMs, description }: FoundNode,
  point: PointFacts,
  { quiesce }: RestoreWish,
  problems: GuardianError[],
  warnings: string[],
): void {
  const { etcd, certificateEndsMs, timeMs } = description;
  const add = (code: string, message: string, hint: string, retryable = false): void => {
    problems.push(new GuardianError(code, message, { hint, retryable }));
  };
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

/** A cluster may have members of two minor versions that follow each other, in an upgrade; 3.5 and 3.7 panic together. */
function checkMixture(known: readonly FoundNode[], problems: GuardianError[], warnings: string[]): void {
  const minors = known.flatMap(({ description: { etcd } }) => {
    const minor = /^3\.(\d+)\./.exec(etcd.version)?.[1];
    return minor === undefined ? [] : [Number(minor)];
  });
  const spread = Math.max(...minors) - Math.min(...minors);
  if (minors.length === 0 || spread === 0) return;
  const versions = known.map(
    ({ node, description: { etcd } }) => `${node} has ${etcd.version || 'an unknown one'}`,
  );
  const text = `the members' etcd is not of one version: ${versions.join(', ')}`;
  if (spread === 1) warnings.push(text);
  else
    problems.push(
      new GuardianError('restore.version', text, {
        hint: 'Members more than one minor version apart panic in one cluster: finish the upgrade first.',
      }),
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
  { quiesce, withoutNodes }: RestoreWish,
  warnings: readonly string[],
): string[] {
  return [
    `revision ${revision}${time === undefined ? '' : ` of ${time.toISOString()}`} from ${label}, about ${Math.ceil(bytes / 1e6)} MB`,
    ...participants.map(
      ({ node, name, dataDir, apiServers }) =>
        `${node}: member ${name} in ${dataDir}${quiesce ? `; stops ${apiServers.join(', ') || 'no API server'}, then etcd` : '; stops etcd'}`,
    ),
    ...(withoutNodes.length === 0
      ? []
      : [
          `left out: ${withoutNodes.join(', ')}. Stop etcd and the API server there before they come back, wipe the data dir, and add it as a new member`,
        ]),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
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
