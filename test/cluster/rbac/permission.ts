/** What one of our service accounts asked the API server for. */
export interface Use {
  /** `NAMESPACE/NAME` of the service account. */
  readonly account: string;
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  /** With its subresource: `pods/log`. */
  readonly resource: string;
  /** Undefined: none was named, as in lists. */
  readonly name: string | undefined;
  /** Undefined: cluster-wide, or in all namespaces. */
  readonly namespace: string | undefined;
}

/** The smallest part of what a rule of RBAC grants. */
export interface Permission extends Use {
  /** `*` for whatever there is; verbs and groups likewise. */
  readonly resource: string;
  /** Undefined: whatever its name. */
  readonly name: string | undefined;
  /** Undefined: everywhere. */
  readonly namespace: string | undefined;
}

/** Whether RBAC would let this request pass because of this permission alone. */
export function covers(permission: Permission, use: Use): boolean {
  const { account, verb, group, resource, name, namespace } = permission;
  const [, subresource] = use.resource.split('/');
  return (
    account === use.account &&
    (verb === '*' || verb === use.verb) &&
    (group === '*' || group === use.group) &&
    (resource === '*' ||
      resource === use.resource ||
      (subresource !== undefined && resource === `*/${subresource}`)) &&
    (name === undefined || name === use.name) &&
    (namespace === undefined || namespace === use.namespace)
  );
}

/** As people say it: `etcdguardian-webhook: get etcdbackups.etcdguardian.io NAME in team-a`. */
export function permissionText({ account, verb, group, resource, name, namespace }: Permission): string {
  const [, of = account] = account.split('/');
  const [plural = '', subresource] = resource.split('/');
  const kind = [group === '' ? plural : `${plural}.${group}`, subresource].filter(Boolean).join('/');
  const where = namespace === undefined ? 'everywhere' : `in ${namespace}`;
  return [`${of}: ${verb} ${kind}`, name, where].filter(Boolean).join(' ');
}
