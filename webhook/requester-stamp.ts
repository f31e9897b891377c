import type { Admission, PatchOperation } from './admission-review.ts';
import { type PolicyTools, isControlPlane } from './policy.ts';
import { hasSchedule, isOneOff, isSameStamp, isSpecChanged, stampOf } from './subject.ts';
import type { OwnerReference } from '../lib/kubernetes/object-meta.ts';

/**
 * Who the stamp of this object must name; `undefined`: nobody, there must be none. Decides for the mutating hook, which
 * writes it, and for the validating one, which insists on it.
 *
 * On CREATE it is the sender, whatever was sent; but the control plane's account may send a child of a schedule, whose
 * stamp is then its parent's (that is for `policies/stamp.ts` to see). An UPDATE that asks for something else names the
 * editor, and any other keeps what was there: also none, of an object from a time without this webhook.
 */
export function dueStamp(admission: Admission, tools: Pick<PolicyTools, 'settings'>): unknown {
  const { operation, object, oldObject, user } = admission;
  if (operation === 'CREATE') {
    const isChild = isControlPlane(admission, tools) && parentOf(admission) !== undefined;
    return isChild ? stampOf(object) : user;
  }
  // What can't be changed at all is refused for that; a new stamp would only hide why.
  return isSpecChanged(admission) && !isOneOff(admission) && !isOneOff({ ...admission, oldObject: object })
    ? user
    : stampOf(oldObject);
}

/** What the mutating hook changes: the stamp, where it isn't the due one. */
export function stampPatch(admission: Admission, tools: Pick<PolicyTools, 'settings'>): PatchOperation[] {
  const { object, operation, subresource } = admission;
  if (object?.spec === undefined || operation === 'DELETE' || subresource !== '') return [];
  const due = dueStamp(admission, tools);
  const sent = stampOf(object);
  const path = '/spec/requestedBy';
  if (due === undefined) return sent === undefined ? [] : [{ op: 'remove', path }];
  return sent !== undefined && isSameStamp(sent, due) ? [] : [{ op: 'add', path, value: due }];
}

/** The schedule that a run says it is of: its controller, of a kind of ours. */
export function parentOf({ kind, object }: Admission): OwnerReference | undefined {
  if (kind !== 'EtcdBackup' || hasSchedule(object)) return undefined;
  return object?.metadata.ownerReferences?.find(
    (owner) =>
      owner.controller === true &&
      owner.apiVersion.startsWith('etcdguardian.io/') &&
      (owner.kind === 'EtcdBackup' || owner.kind === 'EtcdBackupSchedule'),
  );
}
