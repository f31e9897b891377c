import { z } from 'zod';
import type { Use } from './permission.ts';

/** What the audit log says of our service accounts. */
export interface AuditedRequests {
  readonly uses: readonly Use[];
  /** Requests of theirs that RBAC refused, in a line each. */
  readonly denied: readonly string[];
}

const User = z.object({
  username: z.string().default(''),
  uid: z.string().optional(),
  groups: z.array(z.string()).default([]),
  extra: z.record(z.string(), z.array(z.string())).default({}),
});

/** audit.k8s.io/v1, as far as it is read here. */
const AuditEvent = z.object({
  requestURI: z.string(),
  verb: z.string(),
  user: User,
  impersonatedUser: User.optional(),
  objectRef: z
    .object({
      apiGroup: z.string().default(''),
      resource: z.string().default(''),
      subresource: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
    })
    .optional(),
  responseStatus: z.object({ code: z.number().default(0), message: z.string().optional() }).optional(),
  annotations: z.record(z.string(), z.string()).default({}),
});
type AuditEvent = z.infer<typeof AuditEvent>;

const OWN = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * Reads lines of an audit log. A request by impersonation counts as use of the right to impersonate that user, not of
 * what the user may; what the user is refused is the user's.
 */
export function auditedRequests(log: string, ownNamespace: string): AuditedRequests {
  const uses: Use[] = [];
  const denied: string[] = [];
  for (const line of log.split('\n')) {
    if (line.trim() === '') continue;
    const event = AuditEvent.parse(JSON.parse(line));
    const [, namespace, name] = OWN.exec(event.user.username) ?? [];
    if (namespace !== ownNamespace || name === undefined) continue;
    const account = `${namespace}/${name}`;
    if (isDenied(event)) denied.push(deniedText(event, account));
    else if (event.impersonatedUser !== undefined)
      uses.push(...impersonations(event.impersonatedUser, account));
    else if (event.objectRef !== undefined) uses.push(useOf(event, event.objectRef, account));
  }
  return { uses, denied };
}

/** By RBAC, or because the user may not be impersonated; admission refuses with the same code. */
function isDenied({ responseStatus, annotations, impersonatedUser }: AuditEvent): boolean {
  const isAllowed = annotations['authorization.k8s.io/decision'] === 'allow';
  return responseStatus?.code === 403 && impersonatedUser === undefined && !isAllowed;
}

function deniedText({ verb, requestURI, responseStatus }: AuditEvent, account: string): string {
  return `${account}: ${verb} ${requestURI}: ${responseStatus?.message ?? 'no message'}`;
}

function useOf({ verb }: AuditEvent, ref: NonNullable<AuditEvent['objectRef']>, account: string): Use {
  const { apiGroup: group, resource, subresource, namespace, name } = ref;
  const isNamespace = group === '' && resource === 'namespaces';
  return {
    ...{ account, verb, group },
    // Noted from the object, which nobody had read when the request was judged.
    name: verb === 'create' && subresource === undefined ? undefined : name,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    // The API server notes a Namespace as lying in itself.
    namespace: isNamespace || namespace === '' ? undefined : namespace,
  };
}

/** As the API server checks them; what it adds to each user by itself needs no right. */
function impersonations({ username, uid, groups, extra }: z.infer<typeof User>, account: string): Use[] {
  const use = (group: string, resource: string, name: string, namespace?: string): Use => ({
    ...{ account, verb: 'impersonate', group, resource, name, namespace },
  });
  const [, namespace, serviceAccount] = OWN.exec(username) ?? [];
  return [
    serviceAccount === undefined
      ? use('', 'users', username)
      : use('', 'serviceaccounts', serviceAccount, namespace),
    ...groups.filter((group) => group !== 'system:authenticated').map((group) => use('', 'groups', group)),
    ...(uid === undefined || uid === '' ? [] : [use('authentication.k8s.io', 'uids', uid)]),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((value) => use('authentication.k8s.io', `userextras/${key}`, value)),
    ),
  ];
}
