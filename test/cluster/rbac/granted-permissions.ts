import { z } from 'zod';
import type { Permission } from './permission.ts';

const Rule = z.object({
  verbs: z.array(z.string()),
  apiGroups: z.array(z.string()).default([]),
  resources: z.array(z.string()).default([]),
  resourceNames: z.array(z.string()).default([]),
  nonResourceURLs: z.array(z.string()).default([]),
});

const Named = z.object({ name: z.string(), namespace: z.string().optional() });

const RbacObject = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['Role', 'ClusterRole']), metadata: Named, rules: z.array(Rule).nullish() }),
  z.object({
    kind: z.enum(['RoleBinding', 'ClusterRoleBinding']),
    metadata: Named,
    roleRef: z.object({ kind: z.enum(['Role', 'ClusterRole']), name: z.string() }),
    subjects: z
      .array(z.object({ kind: z.string(), name: z.string(), namespace: z.string().optional() }))
      .nullish(),
  }),
]);
type RbacObject = z.infer<typeof RbacObject>;
type Role = Extract<RbacObject, { kind: 'Role' | 'ClusterRole' }>;

/** Roles and bindings among the `items` of a list. */
export function rbacObjects(list: unknown): RbacObject[] {
  const { items } = z.object({ items: z.array(z.looseObject({ kind: z.string() })) }).parse(list);
  return items
    .filter(({ kind }) => /^(Cluster)?Role(Binding)?$/.test(kind))
    .map((one) => RbacObject.parse(one));
}

/**
 * Everything that service accounts of this namespace are granted by name, one permission per verb, resource, name and
 * namespace. What all authenticated users have isn't in it. Throws for a binding whose role is not among the objects,
 * and for rules of URLs, which nothing here can judge.
 */
export function grantedPermissions(objects: readonly RbacObject[], ownNamespace: string): Permission[] {
  const permissions = objects.flatMap((binding) => {
    if (binding.kind !== 'RoleBinding' && binding.kind !== 'ClusterRoleBinding') return [];
    const accounts = (binding.subjects ?? []).filter(
      ({ kind, namespace }) => kind === 'ServiceAccount' && namespace === ownNamespace,
    );
    if (accounts.length === 0) return [];
    const where = binding.kind === 'RoleBinding' ? binding.metadata.namespace : undefined;
    const role = roleOf(objects, binding.roleRef, where);
    return accounts.flatMap(({ name }) => permissionsOf(role, `${ownNamespace}/${name}`, where));
  });
  return [...new Map(permissions.map((one) => [JSON.stringify(one), one])).values()];
}

function roleOf(
  objects: readonly RbacObject[],
  { kind, name }: { readonly kind: string; readonly name: string },
  namespace: string | undefined,
): Role {
  const found = objects.find(
    (object): object is Role =>
      object.kind === kind &&
      object.metadata.name === name &&
      (kind === 'ClusterRole' || object.metadata.namespace === namespace),
  );
  if (found === undefined) throw new Error(`there is no ${kind} ${name}, which is bound`);
  return found;
}

function permissionsOf({ metadata, rules }: Role, account: string, namespace?: string): Permission[] {
  return (rules ?? []).flatMap(({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }) => {
    if (nonResourceURLs.length > 0) throw new Error(`role ${metadata.name} is about URLs`);
    const names = resourceNames.length === 0 ? [undefined] : resourceNames;
    return verbs.flatMap((verb) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          names.map((name) => ({ account, verb, group, resource, name, namespace })),
        ),
      ),
    );
  });
}
