import { addressKind } from '../../network-address.ts';
import { type HostList, parseHostList } from '../../host-list.ts';
import type { StorageLocation } from '../api/etcd-backup-spec.ts';

/** Endpoints of stores that tenants may use; whoever may back up the whole cluster uses any. */
export interface TenantEndpoints {
  /** As `parseHostList` takes them. */
  readonly allowed: readonly string[];
  readonly hosts: HostList;
}

/** Throws `settings.hosts`. */
export function tenantEndpoints(allowed: readonly string[]): TenantEndpoints {
  return { allowed, hosts: parseHostList(allowed) };
}

/**
 * Judges the name, or the address however it is written (`http://2130706433`, `http://[::ffff:7f00:1]`); what a name
 * resolves to is judged when it is connected to, by `storeNetwork`.
 */
export function isAllowedEndpoint(endpoint: string, { hosts }: TenantEndpoints): boolean {
  const url = URL.parse(endpoint);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '')
    return false;
  return hosts.allows(url.hostname, portOf(url));
}

/**
 * Why nobody may name this endpoint, not even an administrator; undefined when he may. Cloud metadata services hand out
 * credentials to whoever asks from the node.
 */
export function impossibleEndpoint(endpoint: string): string | undefined {
  const url = URL.parse(endpoint);
  if (url === null) return 'is not a URL';
  const kind = addressKind(url.hostname.replace(/^\[(.*)\]$/, '$1'));
  switch (kind) {
    case 'metadata':
    case 'link-local':
    case 'unspecified':
    case 'reserved':
      return `leads to a ${kind} address`;
    case 'public':
    case 'private':
    case 'shared':
    case 'loopback':
    case undefined:
      return undefined;
  }
}

/**
 * What a run may connect to for this location, as the store's `network` takes it; undefined: anything, since the
 * requester needed the right over the whole cluster, or the provider's own servers, whose names nobody chose.
 */
export function storeNetwork(
  { endpoint }: StorageLocation,
  endpoints: TenantEndpoints,
): { readonly publicOnly: true; readonly allowed: readonly string[] } | undefined {
  if (endpoint === undefined || !isAllowedEndpoint(endpoint, endpoints)) return undefined;
  return { publicOnly: true, allowed: endpoints.allowed };
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}
