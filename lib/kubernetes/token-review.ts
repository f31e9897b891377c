import { z } from 'zod';
import { GuardianError } from '../guardian-error.ts';
import type { Requester } from './api/etcd-backup-spec.ts';
import type { KubeCallOptions, KubeClient, KubeResource } from './kube-client.ts';

const GROUP = 'authentication.k8s.io';
const TOKEN_REVIEWS: KubeResource = { group: GROUP, version: 'v1', plural: 'tokenreviews' };
const SELF_REVIEWS: KubeResource = { group: GROUP, version: 'v1', plural: 'selfsubjectreviews' };

/** What an authenticator says about a user; Kubernetes leaves out what is empty. */
const userInfo = z.object({
  username: z.string().default(''),
  uid: z.string().optional(),
  groups: z.array(z.string()).default([]),
  extra: z.record(z.string(), z.array(z.string())).default({}),
});

const tokenReview = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    audiences: z.array(z.string()).default([]),
    user: userInfo.default({ username: '', groups: [], extra: {} }),
  }),
});

const selfReview = z.object({ status: z.object({ userInfo }) });

/** Whose token that is. A pod's has name and uid of pod and node in `extra`, under these keys. */
export const POD_NAME = 'authentication.kubernetes.io/pod-name';
export const POD_UID = 'authentication.kubernetes.io/pod-uid';
export const NODE_NAME = 'authentication.kubernetes.io/node-name';

/**
 * The user whose token for this audience that is; undefined for any that isn't valid now, or was made for others.
 * Rejects with the client's errors, and with `kubernetes.refused` for an answer that isn't one.
 */
export async function reviewToken(
  client: KubeClient,
  token: string,
  audience: string,
  options: KubeCallOptions = {},
): Promise<Requester | undefined> {
  if (token === '') return undefined;
  const body = { apiVersion: `${GROUP}/v1`, kind: 'TokenReview', spec: { token, audiences: [audience] } };
  const answer = tokenReview.safeParse(await client.create(TOKEN_REVIEWS, undefined, body, options));
  if (!answer.success) throw notUnderstood('TokenReview', answer.error);
  const { authenticated, audiences, user } = answer.data.status;
  // Without audiences, the authenticator didn't look at them.
  if (!authenticated || !audiences.includes(audience) || user.username === '') return undefined;
  return withoutUndefined(user);
}

/** Who the client acts as, as the API server sees it. */
export async function whoAmI(client: KubeClient, options: KubeCallOptions = {}): Promise<Requester> {
  const body = { apiVersion: `${GROUP}/v1`, kind: 'SelfSubjectReview' };
  const answer = selfReview.safeParse(await client.create(SELF_REVIEWS, undefined, body, options));
  if (!answer.success) throw notUnderstood('SelfSubjectReview', answer.error);
  return withoutUndefined(answer.data.status.userInfo);
}

function withoutUndefined({ uid, ...user }: z.infer<typeof userInfo>): Requester {
  return uid === undefined ? user : { ...user, uid };
}

function notUnderstood(what: string, cause: z.ZodError): GuardianError {
  return new GuardianError(
    'kubernetes.refused',
    `the API server's ${what} can't be read: ${z.prettifyError(cause)}`,
    {
      cause,
    },
  );
}
