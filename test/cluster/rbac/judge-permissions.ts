import { covers, type Permission, permissionText, type Use } from './permission.ts';

/**
 * Whether each permission is needed for what was done. Returns a line for each that isn't: nobody used it, another one
 * would have done, or it was granted everywhere and used in the installation's own namespace only.
 */
export function judgePermissions(
  permissions: readonly Permission[],
  uses: readonly Use[],
  { ownNamespace, clusterWide }: JudgedInstallation,
): string[] {
  const distinct = [...new Map(uses.map((use) => [JSON.stringify(use), use])).values()];
  return permissions.flatMap((permission) => {
    const covered = distinct.filter((use) => covers(permission, use));
    const text = permissionText(permission);
    if (covered.length === 0) return [`${text}: never used`];
    const others = permissions.filter((other) => other !== permission);
    if (covered.every((use) => others.some((other) => covers(other, use))))
      return [`${text}: what it was used for is allowed without it`];
    const isEverywhere =
      permission.namespace === undefined && !clusterWide(permission.group, permission.resource);
    if (isEverywhere && covered.every(({ namespace }) => namespace === ownNamespace))
      return [`${text}: was used in ${ownNamespace} only`];
    return [];
  });
}

export interface JudgedInstallation {
  readonly ownNamespace: string;
  /** Whether objects of this resource belong to no namespace. */
  readonly clusterWide: (group: string, resource: string) => boolean;
}
