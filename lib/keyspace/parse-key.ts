import { BUILTIN_DIRECTORIES } from './builtin-resources.ts';

/** What a key in etcd is the key of. */
export interface ObjectKey {
  /** The API group of a custom resource; undefined for Kubernetes' own, whose keys don't tell. */
  readonly group: string | undefined;
  /** The plural of the API, also where the key says something else: `nodes` for `minions`. */
  readonly resource: string;
  /** Undefined for what is cluster-wide. */
  readonly namespace: string | undefined;
  readonly name: string;
  /**
   * `known`: a directory of Kubernetes' own. `shape`: judged by the number of segments, right for every custom
   * resource; the CustomResourceDefinition in the same data settles it.
   */
  readonly scope: 'known' | 'shape';
}

/** What kube-apiserver puts before every key unless told otherwise by `--etcd-prefix`. */
export const DEFAULT_PREFIX = '/registry';

/**
 * Reads a key that kube-apiserver wrote. Undefined for any other: another prefix, the compactor's own key, an
 * aggregated API server's layout, or segments that no object can have.
 */
export function parseKey(key: string, prefix: string = DEFAULT_PREFIX): ObjectKey | undefined {
  if (!key.startsWith(`${prefix}/`)) return undefined;
  const segments = key.slice(prefix.length + 1).split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return undefined;
  return inBuiltinDirectory(segments) ?? byShape(segments);
}

/** `pods`, `widgets.example.com`: as kubectl names resources. */
export function resourceName({ group, resource }: Pick<ObjectKey, 'group' | 'resource'>): string {
  return group === undefined ? resource : `${resource}.${group}`;
}

function inBuiltinDirectory(segments: readonly string[]): ObjectKey | undefined {
  for (const depth of [1, 2]) {
    const builtin = BUILTIN_DIRECTORIES.get(segments.slice(0, depth).join('/'));
    if (builtin === undefined) continue;
    const rest = segments.slice(depth);
    if (rest.length !== (builtin.namespaced ? 2 : 1)) return undefined;
    return objectKey(builtin.group, builtin.resource, rest, 'known');
  }
  return undefined;
}

/**
 * A first segment with a dot is a custom resource's group: the groups of CRDs must have one, no directory of
 * Kubernetes' own does, but for two that the table holds.
 */
function byShape(segments: readonly string[]): ObjectKey | undefined {
  const [first = '', ...others] = segments;
  const builtin = BUILTIN_DIRECTORIES.has(first) || first === 'services';
  if (builtin) return undefined;
  if (!first.includes('.')) return objectKey(undefined, first, others, 'shape');
  const [resource, ...rest] = others;
  return resource === undefined ? undefined : objectKey(first, resource, rest, 'shape');
}

function objectKey(
  group: string | undefined,
  resource: string,
  rest: readonly string[],
  scope: ObjectKey['scope'],
): ObjectKey | undefined {
  const name = rest.at(-1);
  if (name === undefined || rest.length > 2) return undefined;
  return { group, resource, namespace: rest.length === 2 ? rest[0] : undefined, name, scope };
}
