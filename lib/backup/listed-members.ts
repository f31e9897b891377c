import type { EndpointStatus, EtcdClient, Member, MemberStatus } from '../etcd/client/etcd-client.ts';

/** So long a member that nobody named may take to answer, connecting included. */
const PATIENCE_MS = 3_000;

/**
 * The members that no endpoint leads to, at the addresses that the cluster itself lists for its clients. Who doesn't
 * answer soon, or turns out to be another member, is left out: such lists often hold addresses that only nodes reach,
 * or `localhost`. Plain http is not spoken where the endpoints have TLS. Rejects only when `signal` aborts.
 */
export async function listedStatuses(
  client: Pick<EtcdClient, 'endpoints' | 'status'>,
  given: readonly EndpointStatus[],
  members: readonly Member[],
  signal: AbortSignal | undefined,
): Promise<MemberStatus[]> {
  const answered = given.flatMap(({ status }) => (status === undefined ? [] : [status.header]));
  const clusterId = answered[0]?.clusterId;
  const missing = members.filter(({ id, isLearner }) => {
    return !isLearner && answered.every(({ memberId }) => memberId !== id);
  });
  const secure = client.endpoints.some((endpoint) => endpoint.startsWith('https:'));
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const limit = signal === undefined ? patience : AbortSignal.any([signal, patience]);
  const find = async ({ id, clientUrls }: Member): Promise<MemberStatus[]> => {
    const urls = clientUrls.filter((url) => !secure || url.startsWith('https:'));
    const answers = await Promise.allSettled(urls.map((url) => client.status(url, { signal: limit })));
    signal?.throwIfAborted();
    const statuses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    return statuses.filter(({ header }) => header.memberId === id && header.clusterId === clusterId);
  };
  const found = await Promise.all(missing.map(find));
  return found.flatMap(([status]) => (status === undefined ? [] : [status]));
}
