import { GuardianError } from '../guardian-error.ts';
import type { KubeReference, KubeResource } from './kube-client.ts';

/** The path of all objects of a resource, in one namespace or in all. */
export function collectionPath({ group, version, plural }: KubeResource, namespace?: string): string {
  const root = group === '' ? '/api' : `/apis/${segment(group)}`;
  const place = namespace === undefined ? '' : `/namespaces/${segment(namespace)}`;
  return `${root}/${segment(version)}${place}/${segment(plural)}`;
}

/** The path of one object, or of its subresource. */
export function objectPath({ resource, namespace, name, subresource }: KubeReference): string {
  const part = subresource === undefined ? '' : `/${segment(subresource)}`;
  return `${collectionPath(resource, namespace)}/${segment(name)}${part}`;
}

/** `?a=1&b=2`, without what is undefined; empty when nothing is left. */
export function queryText(
  parameters: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}

/** `secrets`, `etcdbackups.etcdguardian.io`: as RBAC and kubectl write it. */
export function resourceName({ group, plural }: KubeResource): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/**
 * Names come from users: what would lead to another path is no name. The same rule as Kubernetes' own for names in
 * paths; whatever else is wrong with one, the API server says.
 */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/%]/.test(name))
    throw new GuardianError('kubernetes.invalid', `${JSON.stringify(name)} can't be a name in Kubernetes`);
  return encodeURIComponent(name);
}
