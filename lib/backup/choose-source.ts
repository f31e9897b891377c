import type { EtcdClient, EndpointStatus, MemberStatus } from '../etcd/client/etcd-client.ts';
import { pickMember } from '../etcd/client/pick-member.ts';
import { listedStatuses } from './listed-members.ts';

/** Where a backup reads from, and who can be asked for the proof. */
export interface ChosenSource {
  readonly endpoint: string;
  readonly status: MemberStatus;
  readonly memberName: string;
  /** Why this member, for people. */
  readonly reason: string;
  /** The other voting members, the best to ask first; see `MemberPick`. */
  readonly provers: readonly Prover[];
  readonly warnings: readonly string[];
  /** The highest revision that any member shows now. */
  readonly clusterRevision: bigint;
  /** Names of the members by their ids, as far as they are known. */
  readonly memberNames: ReadonlyMap<bigint, string>;
}

/** A member that can be asked for a hash. */
export interface Prover {
  readonly endpoint: string;
  readonly memberId: bigint;
}

export interface SourceOptions {
  /** See `PickOptions`. */
  readonly failed?: ReadonlySet<bigint> | undefined;
  readonly notSource?: ReadonlySet<bigint> | undefined;
  /** Also look for members that no endpoint leads to, to be asked for the proof. Default true. */
  readonly listedMembers?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the choice needs of etcd. */
export type ChoosingClient = Pick<EtcdClient, 'endpoints' | 'status' | 'statuses' | 'members'>;

/**
 * Looks at every endpoint and takes the best member that may be read. Rejects with the endpoints' own error where all
 * have the same one, else with `etcd.no-member`, which holds each one's reason.
 */
export async function chooseSource(
  client: ChoosingClient,
  { failed, notSource = new Set(), listedMembers = true, signal }: SourceOptions = {},
): Promise<ChosenSource> {
  const given = await client.statuses({ signal });
  throwCommonError(given);
  // A courtesy: a user without the right to list members still gets a backup.
  const list = await client.members({ signal }).catch(() => undefined);
  signal?.throwIfAborted();
  const members = list?.members ?? [];
  const listed = listedMembers ? await listedStatuses(client, given, members, signal) : [];
  const onlyAsked = listed.map(({ header }) => header.memberId);
  const statuses = [...given, ...listed.map((status) => ({ endpoint: status.endpoint, status }))];
  const pick = pickMember(
    { statuses, members },
    { failed, notSource: new Set([...notSource, ...onlyAsked]) },
  );
  const { source } = pick;
  const revisions = statuses.flatMap(({ status }) => (status === undefined ? [] : [status.header.revision]));
  return {
    endpoint: source.endpoint,
    status: source.status,
    memberName: source.name,
    reason: source.reason,
    provers: pick.provers.map(({ endpoint, status }) => ({ endpoint, memberId: status.header.memberId })),
    warnings: pick.warnings,
    clusterRevision: revisions.reduce((highest, revision) => (revision > highest ? revision : highest), 0n),
    memberNames: new Map(members.map(({ id, name }) => [id, name])),
  };
}

function throwCommonError(statuses: readonly EndpointStatus[]): void {
  const errors = statuses.map(({ error }) => error);
  const [first] = errors;
  if (first !== undefined && errors.every((error) => error?.code === first.code)) throw first;
}
