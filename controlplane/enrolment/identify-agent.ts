import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { Requester } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { NODE_NAME, POD_NAME, POD_UID, reviewToken } from '../../lib/kubernetes/token-review.ts';
import { DAEMON_SETS, PODS, type Pod } from '../core-resources.ts';

/** An agent's pod, as the API server vouches for it. */
export interface IdentifiedAgent {
  readonly node: string;
  readonly podName: string;
  readonly podUid: string;
}

export interface IdentifyAgentTools {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly settings: {
    readonly enrolmentAudience: string;
    readonly agentServiceAccount: string;
    readonly agentDaemonSet: string;
  };
}

/**
 * Who sent this token: the API server judges it, for our audience; it must be bound to a pod that runs with the agents'
 * service account, that is there now with the same uid, and that our DaemonSet controls. The node is the pod's. Rejects
 * with `controlplane.enrolment-token` (401), `controlplane.enrolment-denied` (403), and the client's errors when the API
 * server could not be asked.
 */
export async function identifyAgent(
  tools: IdentifyAgentTools,
  token: string,
  signal?: AbortSignal,
): Promise<IdentifiedAgent> {
  // 1. Whose token is it?
  const bound = boundPod(await userOf(tools, token, signal), tools);

  // 2. Is that pod there, now?
  const pod = await podOf(tools, bound, signal);

  // 3. Is it one of ours?
  await requireOurPod(tools, pod, signal);
  const node = pod.spec.nodeName ?? '';
  if (node === '') throw denied(`pod ${bound.name} is on no node`);
  if (bound.node !== undefined && bound.node !== node)
    throw denied(`the token is of a pod on node ${bound.node}, pod ${bound.name} is on ${node}`);
  return { node, podName: bound.name, podUid: bound.uid };
}

async function userOf(
  { kube, settings }: IdentifyAgentTools,
  token: string,
  signal?: AbortSignal,
): Promise<Requester> {
  const user = await reviewToken(kube, token, settings.enrolmentAudience, { signal });
  if (user !== undefined) return user;
  throw new GuardianError('controlplane.enrolment-token', "the API server doesn't accept the token", {
    hint: `It must be a fresh projected token with audience ${settings.enrolmentAudience}, of a pod that is there.`,
    retryable: true,
  });
}

interface BoundPod {
  readonly name: string;
  readonly uid: string;
  readonly node: string | undefined;
}

function boundPod(user: Requester, { namespace, settings }: IdentifyAgentTools): BoundPod {
  const wanted = `system:serviceaccount:${namespace}:${settings.agentServiceAccount}`;
  if (user.username !== wanted) throw denied(`the token is of ${user.username}, not of ${wanted}`);
  const only = (what: string): string | undefined => {
    const values = user.extra?.[what];
    return values?.length === 1 ? values[0] : undefined;
  };
  const name = only(POD_NAME);
  const uid = only(POD_UID);
  if (name === undefined || uid === undefined) throw denied('the token is not bound to a pod');
  return { name, uid, node: only(NODE_NAME) };
}

async function podOf(
  { kube, namespace }: IdentifyAgentTools,
  bound: BoundPod,
  signal?: AbortSignal,
): Promise<Pod> {
  const pod = await kube
    .get<Pod>({ resource: PODS, namespace, name: bound.name }, { signal })
    .catch((error: unknown) => {
      if (hasCode(error, 'kubernetes.not-found')) throw denied(`there is no pod ${bound.name}`);
      throw error;
    });
  if (pod.metadata.uid !== bound.uid)
    throw denied(
      `pod ${bound.name} is another one now (uid ${pod.metadata.uid ?? ''}, the token's is ${bound.uid})`,
    );
  if (pod.metadata.deletionTimestamp !== undefined) throw denied(`pod ${bound.name} is being deleted`);
  return pod;
}

async function requireOurPod(
  { kube, namespace, settings }: IdentifyAgentTools,
  pod: Pod,
  signal?: AbortSignal,
): Promise<void> {
  const { name } = pod.metadata;
  if (pod.spec.serviceAccountName !== settings.agentServiceAccount)
    throw denied(`pod ${name} runs with service account ${pod.spec.serviceAccountName ?? 'of nobody'}`);
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  const isDaemonSet =
    owner?.apiVersion === 'apps/v1' && owner.kind === 'DaemonSet' && owner.name === settings.agentDaemonSet;
  if (!isDaemonSet) throw denied(`pod ${name} is not controlled by DaemonSet ${settings.agentDaemonSet}`);
  const daemonSet = await kube
    .get({ resource: DAEMON_SETS, namespace, name: settings.agentDaemonSet }, { signal })
    .catch((error: unknown) => {
      if (hasCode(error, 'kubernetes.not-found'))
        throw denied(`there is no DaemonSet ${settings.agentDaemonSet}: ${reasonOf(error)}`);
      throw error;
    });
  if (daemonSet.metadata.uid !== owner.uid)
    throw denied(`pod ${name} names a DaemonSet ${owner.name} that isn't ours (uid ${owner.uid})`);
}

function denied(why: string): GuardianError {
  return new GuardianError('controlplane.enrolment-denied', `enrolment is refused: ${why}`, {
    hint: 'Only pods of the agents’ DaemonSet get a certificate. Check the names in the chart’s values, if it is one.',
  });
}
