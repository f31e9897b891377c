import { isIP } from 'node:net';
import { GuardianError } from '../guardian-error.ts';

/**
 * Who the holder of one of our certificates is, within one cluster: an agent on its node, the control plane, the
 * webhook server, or a person with a break-glass identity for when no API server runs.
 */
export type PeerIdentity =
  | { readonly cluster: string; readonly role: 'control-plane' | 'webhook' }
  | { readonly cluster: string; readonly role: 'agent'; readonly node: string }
  | { readonly cluster: string; readonly role: 'break-glass'; readonly holder: string };

export type Role = PeerIdentity['role'];

export interface RoleTraits {
  /** Which ends of a connection it may be. */
  readonly uses: readonly Usage[];
  /** How long its certificates live, at most. */
  readonly lifeMs: number;
}

export type Usage = 'server' | 'client';

const DAY_MS = 86_400_000;

/**
 * An agent's ends with the week in which no control plane renewed it. The webhook's outlives a month without a control
 * plane, since admission would end with it. A break-glass identity lies in a safe until a bad day.
 */
export const ROLES: Readonly<Record<Role, RoleTraits>> = {
  'control-plane': { uses: ['server', 'client'], lifeMs: 7 * DAY_MS },
  agent: { uses: ['server', 'client'], lifeMs: 7 * DAY_MS },
  webhook: { uses: ['server'], lifeMs: 30 * DAY_MS },
  'break-glass': { uses: ['client'], lifeMs: 365 * DAY_MS },
};

const SCHEME = 'etcdguardian';
const AUTHORITY = 'authority';

/**
 * The name in a certificate, a URI as subject alternative name:
 *
 *     etcdguardian://CLUSTER/control-plane
 *     etcdguardian://CLUSTER/webhook
 *     etcdguardian://CLUSTER/agent/NODE
 *     etcdguardian://CLUSTER/break-glass/HOLDER
 *
 * Throws `pki.name` for names that aren't lower-case DNS names: the cluster's is the uid of its namespace kube-system,
 * a node's is Kubernetes', a holder's is chosen.
 */
export function identityUri(identity: PeerIdentity): string {
  const parts: string[] = [identity.role];
  if (identity.role === 'agent') parts.push(checkedName('node', identity.node));
  if (identity.role === 'break-glass') parts.push(checkedName('holder', identity.holder));
  return `${SCHEME}://${checkedName('cluster', identity.cluster)}/${parts.join('/')}`;
}

/** What an authority issues for: one cluster, and the Services of one namespace in it. */
export interface AuthorityScope {
  /** The uid of its namespace kube-system. */
  readonly cluster: string;
  /** The namespace that our own Services are in. */
  readonly namespace: string;
}

/** The name in an authority's own certificate: `etcdguardian://CLUSTER/authority/NAMESPACE`. */
export function authorityUri({ cluster, namespace }: AuthorityScope): string {
  return `${SCHEME}://${checkedName('cluster', cluster)}/${AUTHORITY}/${checkedName('namespace', namespace)}`;
}

/** Undefined when the URI is no identity, or not spelled exactly as `identityUri` does. */
export function parseIdentityUri(uri: string): PeerIdentity | undefined {
  const [, cluster = '', role = '', name] = URI_PATTERN.exec(uri) ?? [];
  const identity = identityOf(cluster, role, name);
  return identity !== undefined && isName(cluster) && (name === undefined || isName(name))
    ? identity
    : undefined;
}

/** Undefined when the URI isn't an authority's. */
export function parseAuthorityUri(uri: string): AuthorityScope | undefined {
  const [, cluster = '', path, namespace = ''] = URI_PATTERN.exec(uri) ?? [];
  return path === AUTHORITY && isName(cluster) && isName(namespace) ? { cluster, namespace } : undefined;
}

/** For messages: `the agent of node-1`. */
export function describeIdentity(identity: PeerIdentity): string {
  switch (identity.role) {
    case 'agent':
      return `the agent of ${identity.node}`;
    case 'break-glass':
      return `the break-glass identity of ${identity.holder}`;
    case 'control-plane':
      return 'the control plane';
    case 'webhook':
      return 'the webhook server';
  }
}

const URI_PATTERN = /^etcdguardian:\/\/([a-z0-9.-]+)\/([a-z-]+)(?:\/([a-z0-9.-]+))?$/;

function identityOf(cluster: string, role: string, name: string | undefined): PeerIdentity | undefined {
  if ((role === 'control-plane' || role === 'webhook') && name === undefined) return { cluster, role };
  if (role === 'agent' && name !== undefined) return { cluster, role, node: name };
  if (role === 'break-glass' && name !== undefined) return { cluster, role, holder: name };
  return undefined;
}

/** RFC 1123's subdomain, as Kubernetes names nodes; no address, which name constraints on URIs can't hold. */
function isName(name: string): boolean {
  return (
    name.length <= 253 &&
    isIP(name) === 0 &&
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)
  );
}

function checkedName(what: string, name: string): string {
  if (isName(name)) return name;
  throw new GuardianError('pki.name', `"${name}" can't be the name of a ${what} in a certificate`, {
    hint: 'It must consist of lower-case letters, digits, "-" and ".", as names in Kubernetes do.',
  });
}
