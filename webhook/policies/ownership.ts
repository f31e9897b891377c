import { isDeepStrictEqual } from 'node:util';
import type { OwnerReference } from '../../lib/kubernetes/object-meta.ts';
import { checkRights, forbidden } from '../../lib/kubernetes/rights/check-rights.ts';
import type { Right } from '../../lib/kubernetes/rights/right.ts';
import type { Admission } from '../admission-review.ts';
import { CONTENT, isControlPlane, type Objection, type Policy, verdict } from '../policy.ts';
import { hasSchedule } from '../subject.ts';

/**
 * Who owns what. Only the control plane makes runs of a schedule. Owners take what they own with them: so whoever changes
 * them, or deletes a schedule and thereby its runs, needs the right to delete what goes.
 */
export const ownership: Policy = {
  name: 'ownership',
  concerns: ({ subresource }) => subresource === '',
  async judge(admission, tools) {
    if (isControlPlane(admission, tools)) return CONTENT;
    if (admission.operation !== 'DELETE') {
      const claims = [...claimedRuns(admission)];
      if (claims.length > 0) return verdict(claims);
    }
    const right = neededRight(admission);
    if (right === undefined) return CONTENT;
    const missing = await checkRights(tools.client, admission.user, [right], tools.signal);
    return missing.length === 0 ? CONTENT : verdict([refused(admission, missing)]);
  },
};

function* claimedRuns(admission: Admission): Generator<Objection> {
  const known = new Set(owners(admission.oldObject).map(({ uid }) => uid));
  for (const owner of owners(admission.object)) {
    if (!owner.apiVersion.startsWith('etcdguardian.io/') || known.has(owner.uid)) continue;
    yield {
      kind: 'forbidden',
      message: `user ${JSON.stringify(admission.user.username)} may not make ${owner.kind} ${JSON.stringify(owner.name)} the owner of anything`,
      hint: 'Only the control plane makes runs of schedules; leave metadata.ownerReferences out.',
    };
  }
}

function neededRight({
  operation,
  kind,
  namespace,
  name,
  object,
  oldObject,
  propagation,
}: Admission): Right | undefined {
  if (operation === 'UPDATE') {
    if (isDeepStrictEqual(owners(object), owners(oldObject))) return undefined;
    return deletion(
      `${kind.toLowerCase()}s`,
      namespace,
      name,
      'its owners are changed, which take it with them',
      'Leave metadata.ownerReferences as they are',
    );
  }
  const hasRuns = kind === 'EtcdBackupSchedule' || (kind === 'EtcdBackup' && hasSchedule(oldObject));
  if (operation !== 'DELETE' || !hasRuns || propagation === 'Orphan') return undefined;
  return deletion(
    'etcdbackups',
    namespace,
    undefined,
    'the runs of the schedule are deleted with it',
    'Keep the runs with --cascade=orphan',
  );
}

function deletion(
  resource: string,
  namespace: string,
  name: string | undefined,
  because: string,
  remedy: string,
): Right {
  return { verb: 'delete', group: 'etcdguardian.io', resource, namespace, name, because, remedy };
}

function owners(object: Admission['object']): readonly OwnerReference[] {
  return object?.metadata.ownerReferences ?? [];
}

function refused({ user }: Admission, missing: Parameters<typeof forbidden>[1]): Objection {
  const { message, hint, retryable } = forbidden(user, missing);
  return { kind: 'forbidden', message, hint, retryable };
}
