import type { Requester } from './api/etcd-backup-spec.ts';
import type { KubeCallOptions, KubeClient, KubeResource } from './kube-client.ts';

/** What someone wants to do, in the words of a SubjectAccessReview. What is left out stands for all of its kind. */
export interface AccessAttributes {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string | undefined;
  /** Left out: in all namespaces, or of a resource that has none. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

const GROUP = 'authorization.k8s.io';
const SUBJECT: KubeResource = { group: GROUP, version: 'v1', plural: 'subjectaccessreviews' };
const SELF: KubeResource = { group: GROUP, version: 'v1', plural: 'selfsubjectaccessreviews' };

/**
 * Whether the API server's authorizers let this user do that, asked now: true for a plain yes only, not for one that an
 * error came with. The user is passed on exactly as stamped. Rejects with the client's errors: then nothing is known,
 * which is no yes either.
 */
export async function mayUser(
  client: KubeClient,
  { username, uid, groups, extra }: Requester,
  attributes: AccessAttributes,
  options: KubeCallOptions = {},
): Promise<boolean> {
  // Authorizers would judge a nameless user by its groups alone.
  if (username === '') return false;
  const spec = { user: username, uid, groups, extra, resourceAttributes: attributes };
  return isPlainYes(await review(client, SUBJECT, 'SubjectAccessReview', spec, options));
}

/** The same for whoever the client acts as. Needs no permission. */
export async function mayI(
  client: KubeClient,
  attributes: AccessAttributes,
  options: KubeCallOptions = {},
): Promise<boolean> {
  const spec = { resourceAttributes: attributes };
  return isPlainYes(await review(client, SELF, 'SelfSubjectAccessReview', spec, options));
}

async function review(
  client: KubeClient,
  resource: KubeResource,
  kind: string,
  spec: object,
  options: KubeCallOptions,
): Promise<object> {
  return await client.create(resource, undefined, { apiVersion: `${GROUP}/v1`, kind, spec }, options);
}

function isPlainYes(answer: object): boolean {
  const status: unknown = 'status' in answer ? answer.status : undefined;
  if (typeof status !== 'object' || status === null) return false;
  const { allowed, denied, evaluationError } = status as Readonly<Record<string, unknown>>;
  return allowed === true && denied !== true && (evaluationError ?? '') === '';
}
