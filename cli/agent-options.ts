import { type Command, Option } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import { credentialFolder } from '../lib/pki/credential-folder.ts';
import { type NodeCaller, surveyNodes } from '../lib/restore/cluster/connect-nodes.ts';
import type { NodeFacts } from '../lib/restore/cluster/node-facts.ts';
import { collect } from './option-values.ts';
import type { Session } from './session.ts';

export interface AgentOptions {
  readonly agent: readonly string[];
  readonly credentials?: string;
}

/** Adds the options that say where the agents are, and who asks them. */
export function withAgentOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--agent <node=host:port>',
        'an agent; one is enough where members have their nodes’ names; may be repeated (port 9640 may be left out)',
      )
        .argParser(collect)
        .default([], 'none'),
    )
    .option(
      '--credentials <folder>',
      'a break-glass identity of "etcdguardian pki issue" (or $ETCDGUARDIAN_CREDENTIALS)',
    );
}

export interface AgentPlace {
  readonly node: string;
  readonly address: string;
}

const PORT = 9640;

/** Throws `usage.agent`. */
export function agentPlaces(options: AgentOptions): AgentPlace[] {
  const places = options.agent.map((text): AgentPlace => {
    const [, node, host, port] = /^([^=]+)=(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
    if (node !== undefined && host !== undefined) return { node, address: `${host}:${port ?? PORT}` };
    throw new GuardianError('usage.agent', `--agent "${text}" is not NODE=HOST or NODE=HOST:PORT`, {
      hint: 'write it like --agent cp1=10.0.0.1, with IPv6 addresses in [ ]',
    });
  });
  const twice = places.find(({ node }, at) => places.findIndex((one) => one.node === node) !== at);
  if (twice !== undefined) throw new GuardianError('usage.agent', `--agent names node ${twice.node} twice`);
  if (places.length > 0) return places;
  throw new GuardianError('usage.agent', 'no agent is named', {
    hint: 'name one or all with --agent NODE=HOST: agents listen on port 9640 of their nodes. With no agent alive: "etcdguardian restore node" on each node.',
  });
}

/** Who calls the agents. Rejects with `usage.credentials` and `pki.credentials`. */
export async function agentCaller(session: Session, options: AgentOptions): Promise<NodeCaller> {
  const folder = options.credentials ?? session.terminal.env.ETCDGUARDIAN_CREDENTIALS;
  if (folder === undefined || folder === '')
    throw new GuardianError('usage.credentials', 'no identity to call agents with', {
      hint: 'give the folder that "etcdguardian pki issue" made, from its safe: --credentials FOLDER. With none, and no API server to issue one: pki issue takes a saved copy of the authority; else "etcdguardian restore node" on each node.',
    });
  const credentials = credentialFolder(folder);
  await credentials.current();
  return { credentials, clock: session.clock };
}

/**
 * What the agents tell; besides those that are named, of the members that they list those whose node has the member's
 * name, as kubeadm makes it, at the address of its peer URL.
 */
export async function surveyAgents(
  named: readonly AgentPlace[],
  caller: NodeCaller,
  signal: AbortSignal,
): Promise<NodeFacts[]> {
  const facts = [...(await surveyNodes(named, caller, signal))];
  const more = unnamedPlaces(facts, named);
  if (more.length > 0) facts.push(...(await surveyNodes(more, caller, signal)));
  return facts;
}

/** Where the agents of members should be that nobody named. */
export function unnamedPlaces(facts: readonly NodeFacts[], named: readonly AgentPlace[]): AgentPlace[] {
  const told = facts.flatMap(({ description }) => (description?.etcd === undefined ? [] : [description]));
  const members = told.find(({ etcd }) => (etcd?.members.length ?? 0) > 0)?.etcd?.members ?? [];
  const port = named[0]?.address.replace(/^.*:/, '') ?? String(PORT);
  return members.flatMap(({ name, id, peerUrls: [peerUrl] }) => {
    const host = URL.parse(peerUrl ?? '')?.hostname ?? '';
    // One whose etcd doesn't answer knows no id of its own.
    const isKnown =
      named.some(({ node, address }) => node === name || address === `${host}:${port}`) ||
      told.some(({ etcd }) => etcd?.memberId === id || (etcd?.memberId === 0n && etcd.name === name));
    return isKnown || name === '' || host === '' ? [] : [{ node: name, address: `${host}:${port}` }];
  });
}
