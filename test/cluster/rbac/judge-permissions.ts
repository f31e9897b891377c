import { covers, type Permission, permissionText, type Use } from './permission.ts';

/** While the installation had the same permissions. */
export interface Phase {
  readonly permissions: readonly Permission[];
  readonly uses: readonly Use[];
}

/**
 * A line for each permission that was not needed in any phase in which it was granted: nobody used it, another one would
 * have done, or it was granted everywhere and used in the installation's own namespace only.
 */
export function judgePhases(phases: readonly Phase[], installation: JudgedInstallation): string[] {
  const verdicts = new Map<string, string | undefined>();
  for (const { permissions, uses } of phases) {
    for (const permission of permissions) {
      const key = permissionText(permission);
      if (verdicts.has(key) && verdicts.get(key) === undefined) continue;
      const problem = judgePermission(permission, permissions, distinct(uses), installation);
      verdicts.set(key, problem && `${key}: ${problem}`);
    }
  }
  return [...verdicts.values()].filter((verdict) => verdict !== undefined);
}

export interface JudgedInstallation {
  readonly ownNamespace: string;
  /** Whether objects of this resource belong to no namespace. */
  readonly clusterWide: (group: string, resource: string) => boolean;
}

/** Why it isn't needed for what was done; undefined where it is. */
function judgePermission(
  permission: Permission,
  all: readonly Permission[],
  uses: readonly Use[],
  { ownNamespace, clusterWide }: JudgedInstallation,
): string | undefined {
  const covered = uses.filter((use) => covers(permission, use));
  if (covered.length === 0) return 'never used';
  const others = all.filter((other) => other !== permission);
  if (covered.every((use) => others.some((other) => covers(other, use))))
    return 'what it was used for is allowed without it';
  const isEverywhere =
    permission.namespace === undefined && !clusterWide(permission.group, permission.resource);
  if (isEverywhere && covered.every(({ namespace }) => namespace === ownNamespace))
    return `was used in ${ownNamespace} only`;
  return undefined;
}

function distinct(uses: readonly Use[]): Use[] {
  return [...new Map(uses.map((use) => [JSON.stringify(use), use])).values()];
}
