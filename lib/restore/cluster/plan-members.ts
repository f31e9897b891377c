import type { Description, EtcdFound } from '../../agent-api/description.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { NodeFacts } from './node-facts.ts';

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

export interface FoundNode extends NodeFacts {
  readonly description: Description & { readonly etcd: EtcdFound };
}

type Member = EtcdFound['members'][number];

export function hasEtcd(facts: NodeFacts): facts is FoundNode {
  return facts.description?.etcd !== undefined;
}

/**
 * Every member of the one etcd cluster, each with the agent of its node, but those on nodes that are left out on request.
 * Those that stay must be more than half, so that what is left out can't serve the old data by itself meanwhile.
 */
export function planMembers(
  nodes: readonly NodeFacts[],
  withoutNodes: readonly string[],
  problems: GuardianError[],
  warnings: string[],
): PlannedParticipant[] {
  const taking = nodes.filter(({ node }) => !withoutNodes.includes(node));
  for (const { node, problem } of taking) if (problem !== undefined) problems.push(agentAway(node, problem));
  const everywhere = nodes.filter(hasEtcd);
  const found = taking.filter(hasEtcd);
  if (found.length === 0) {
    problems.push(noEtcd());
    return [];
  }
  const clusters = new Set(
    found.flatMap(({ description: { etcd } }) => (etcd.clusterId === 0n ? [] : [etcd.clusterId])),
  );
  if (clusters.size > 1) problems.push(manyClusters(clusters.size));
  const members =
    found.find(({ description: { etcd } }) => etcd.members.length > 0)?.description.etcd.members ?? [];
  const away = members.filter((member) => !found.some(({ description: { etcd } }) => isMember(etcd, member)));
  for (const member of withoutThoseLeftOut(away, everywhere, withoutNodes)) problems.push(noAgent(member));

  const voting = members.filter(({ isLearner }) => !isLearner).length;
  const before = Math.max(voting, found.length);
  if (withoutNodes.length > 0 && found.length * 2 <= before) problems.push(tooFew(found.length, before));
  for (const { name, isLearner } of members)
    if (isLearner && !away.some((member) => member.name === name))
      warnings.push(`member ${name} is a learner, and becomes a full member`);
  const planned = found
    .map((facts) => participant(facts, members))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
  const nameless = planned.filter(({ name, peerUrls }) => name === '' || peerUrls.length === 0);
  if (planned.length > 1) for (const { node } of nameless) problems.push(noPeerUrls(node));
  return planned;
}

function participant(
  { node, address, clockSkewMs, description: { etcd } }: FoundNode,
  members: readonly Member[],
): PlannedParticipant {
  const member = members.find((one) => isMember(etcd, one));
  return {
    ...{ node, agentAddress: address, clockSkewMs },
    name: member === undefined || member.name === '' ? etcd.name : member.name,
    peerUrls: member?.peerUrls ?? etcd.peerUrls,
    ...{ dataDir: etcd.dataDir, etcdVersion: etcd.version, apiServers: etcd.apiServers },
  };
}

/** An agent of a node that is left out may tell which member it has; else the member has the node's name, or is the last one left. */
function withoutThoseLeftOut(
  away: readonly Member[],
  everywhere: readonly FoundNode[],
  withoutNodes: readonly string[],
): readonly Member[] {
  const silent = withoutNodes.filter((node) => !everywhere.some((facts) => facts.node === node));
  const told = away.filter(
    (member) =>
      !everywhere.some(
        ({ node, description: { etcd } }) => withoutNodes.includes(node) && isMember(etcd, member),
      ),
  );
  const unnamed = told.filter(({ name }) => !silent.includes(name));
  const left = silent.filter((node) => !told.some(({ name }) => name === node));
  return unnamed.length <= left.length ? [] : unnamed;
}

function isMember(etcd: EtcdFound, member: Member): boolean {
  return etcd.memberId === 0n ? etcd.name === member.name : etcd.memberId === member.id;
}

export function agentAway(node: string, problem: GuardianError): GuardianError {
  return new GuardianError('restore.agent-away', `the agent of ${node} doesn't answer: ${problem.message}`, {
    hint: 'Every control-plane node must take part: see to its agent (kubectl logs), remove the node first, or leave it out (etcdguardian.io/without-nodes, --without).',
    retryable: true,
  });
}

function noEtcd(): GuardianError {
  return new GuardianError('restore.no-etcd', 'no agent has found an etcd on its node', {
    hint: 'Run agents on the nodes of etcd, or restore by hand on the node with "etcdguardian restore".',
    retryable: true,
  });
}

function manyClusters(count: number): GuardianError {
  return new GuardianError(
    'restore.many-clusters',
    `the agents are beside ${count} different etcd clusters`,
    {
      hint: 'Restore by hand on the nodes of the one that is meant, with "etcdguardian restore".',
    },
  );
}

function noAgent({ name, peerUrls }: Member): GuardianError {
  return new GuardianError('restore.no-agent', `no agent is beside member ${name} (${peerUrls.join(', ')})`, {
    hint: 'Every member is restored together: run an agent on its node, remove the member first, or leave its node out.',
  });
}

function tooFew(staying: number, before: number): GuardianError {
  return new GuardianError(
    'restore.too-few',
    `${staying} of ${before} members would be restored, and those left out could go on serving the old data`,
    {
      hint: 'Leave out less than half of the members. Where more are lost, restore by hand with "etcdguardian restore node".',
    },
  );
}

function noPeerUrls(node: string): GuardianError {
  return new GuardianError(
    'restore.peer-urls',
    `the agent of ${node} doesn't know its member's name and peer URLs`,
    {
      hint: 'Start its etcd once, or give it --name and --initial-advertise-peer-urls.',
    },
  );
}
