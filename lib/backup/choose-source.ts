import { type EtcdClient, type EndpointStatus, type MemberStatus } from '../etcd/client/etcd-client.ts';
import { pickMember } from '../etcd/client/pick-member.ts';

/** Where a backup reads from, and who is asked for the proof. */
export interface ChosenSource {
  readonly endpoint: string;
  readonly status: MemberStatus;
  readonly memberName: string;
  /** Why this member, for people. */
  readonly reason: string;
  /** Undefined when no voting member can be asked. */
  readonly prover: string | undefined;
  readonly warnings: readonly string[];
  /** The highest revision that any member shows now. */
  readonly clusterRevision: bigint;
}

/**
 * Looks at every endpoint and takes the best member that isn't among `failed`. Rejects with the endpoints' own error
 * where all have the same one, else with `etcd.no-member`, which holds each one's reason.
 */
export async function chooseSource(
  client: Pick<EtcdClient, 'statuses' | 'members'>,
  failed: ReadonlySet<bigint>,
  signal: AbortSignal | undefined,
): Promise<ChosenSource> {
  const statuses = await client.statuses({ signal });
  throwCommonError(statuses);
  // Names are a courtesy: a user without the right to list members still gets a backup.
  const list = await client.members({ signal }).catch(() => undefined);
  signal?.throwIfAborted();
  const { source, prover, warnings } = pickMember({ statuses, members: list?.members }, { failed });
  const revisions = statuses.flatMap(({ status }) => (status === undefined ? [] : [status.header.revision]));
  return {
    endpoint: source.endpoint,
    status: source.status,
    memberName: source.name,
    reason: source.reason,
    prover: prover?.endpoint,
    warnings,
    clusterRevision: revisions.reduce((highest, revision) => (revision > highest ? revision : highest), 0n),
  };
}

function throwCommonError(statuses: readonly EndpointStatus[]): void {
  const errors = statuses.map(({ error }) => error);
  const [first] = errors;
  if (first !== undefined && errors.every((error) => error?.code === first.code)) throw first;
}
