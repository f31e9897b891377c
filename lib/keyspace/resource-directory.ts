import { BUILTIN_DIRECTORIES } from './builtin-resources.ts';
import { DEFAULT_PREFIX, type ObjectKey, parseKey } from './parse-key.ts';

/** A resource as the API names it. */
export interface NamedResource {
  /** Empty for the core group. */
  readonly group: string;
  readonly plural: string;
}

/**
 * Where a namespaced resource lies behind the prefix in etcd: `secrets`, `services/specs`, `example.com/widgets`. Those
 * of Kubernetes' own that are not known here lie where their plural says, as all new ones do.
 */
export function directoryOf({ group, plural }: NamedResource): string {
  if (!KUBERNETES_GROUPS.has(group)) return `${group}/${plural}`;
  return DIRECTORY_OF_PLURAL.get(plural) ?? plural;
}

/** The key of a record in a backup of namespaces, which has no prefix; undefined as in `parseKey`. */
export function parseRecordKey(key: string): ObjectKey | undefined {
  return parseKey(`${DEFAULT_PREFIX}/${key}`);
}

/** The directory that the key of a record lies in: what stands before namespace and name, or before the name. */
export function directoryOfKey(key: string, { namespace }: ObjectKey): string {
  const segments = key.split('/');
  return segments.slice(0, namespace === undefined ? -1 : -2).join('/');
}

/** Served by kube-apiserver itself; a CustomResourceDefinition can't be in one of them without a protected name. */
const KUBERNETES_GROUPS: ReadonlySet<string> = new Set([
  ...['', 'apps', 'autoscaling', 'batch', 'extensions', 'policy'],
  ...[
    'admissionregistration',
    'authentication',
    'authorization',
    'certificates',
    'coordination',
    'discovery',
    'events',
    'flowcontrol.apiserver',
    'internal.apiserver',
    'networking',
    'node',
    'rbac.authorization',
    'resource',
    'scheduling',
    'storage',
    'storagemigration',
  ].map((name) => `${name}.k8s.io`),
]);

const DIRECTORY_OF_PLURAL = new Map(
  [...BUILTIN_DIRECTORIES]
    .filter(([, { namespaced }]) => namespaced)
    .map(([directory, { resource }]) => [resource, directory]),
);
