import type { RestorableObject } from './stored-record.ts';

/**
 * Directories in the order in which they are restored, what others need first; network policies before what they
 * guard, quotas behind what they count. What isn't here, custom resources above all, comes before the last two.
 */
const WAVES: readonly (readonly string[])[] = [
  ['namespaces'],
  ['serviceaccounts', 'secrets', 'configmaps'],
  ['roles'],
  ['rolebindings'],
  ['persistentvolumeclaims', 'networkpolicies', 'services/specs', 'podtemplates'],
  ['pods', 'controllers', 'replicasets', 'deployments', 'statefulsets', 'daemonsets', 'jobs', 'cronjobs'],
  ['poddisruptionbudgets', 'horizontalpodautoscalers', 'ingress'],
];
const LAST: readonly string[] = ['resourcequotas', 'limitranges'];

/** The objects in groups that are restored one after the other; those of a group need nothing of each other. */
export function restoreWaves(objects: readonly RestorableObject[]): RestorableObject[][] {
  const waves = Array.from({ length: WAVES.length + 2 }, (): RestorableObject[] => []);
  for (const object of objects) waves[waveOf(object.directory)]?.push(object);
  return waves.filter((wave) => wave.length > 0);
}

function waveOf(directory: string): number {
  if (LAST.includes(directory)) return WAVES.length + 1;
  const at = WAVES.findIndex((wave) => wave.includes(directory));
  return at < 0 ? WAVES.length : at;
}

/** Kinds that their controllers make anew. Everything else that has an owner may hold what nobody else knows. */
const DERIVED: ReadonlySet<string> = new Set([
  'pods',
  'replicasets',
  'controllerrevisions',
  'jobs',
  'resourceclaims',
]);

/** Why an object isn't restored itself; `held`: the uids of all objects that are. */
export function derivedFrom(object: RestorableObject, held: ReadonlySet<string>): string | undefined {
  if (!DERIVED.has(object.directory)) return undefined;
  const owner = object.owners.find(({ controller }) => controller);
  if (owner === undefined) return undefined;
  if (owner.kind === 'Node') return 'kubelet makes it from a file of its node';
  return held.has(owner.uid) ? `${owner.kind} ${owner.name} makes it anew` : undefined;
}
