import { hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { Admission } from '../admission-review.ts';
import {
  CONTENT,
  isControlPlane,
  type Objection,
  type Policy,
  type PolicyTools,
  verdict,
} from '../policy.ts';
import { dueStamp, parentOf } from '../requester-stamp.ts';
import { isSameStamp, stampOf } from '../subject.ts';

/** The stamp is the due one; a run's is that of the live schedule it belongs to. */
export const stamp: Policy = {
  name: 'stamp',
  concerns: ({ operation, subresource }) => operation !== 'DELETE' && subresource === '',
  async judge(admission, tools) {
    if (admission.object?.spec === undefined) return CONTENT;
    if (!isSameStamp(stampOf(admission.object), dueStamp(admission, tools))) return verdict([forged()]);
    const isChild = admission.operation === 'CREATE' && isControlPlane(admission, tools);
    if (!isChild || parentOf(admission) === undefined) return CONTENT;
    const wrong = await wrongParent(admission, tools);
    return wrong === undefined ? CONTENT : verdict([{ kind: 'forbidden', message: wrong }]);
  },
};

/** Only seen where something changes the stamp after this webhook wrote it. */
function forged(): Objection {
  return {
    kind: 'forbidden',
    message: 'spec.requestedBy is not whom it must name',
    hint: 'Leave it out; it is written at admission. If you did, another admission webhook changes it.',
  };
}

/** The owner in the object is only a claim: what the API server has under that name decides. */
async function wrongParent(
  admission: Admission,
  { client, signal }: PolicyTools,
): Promise<string | undefined> {
  const owner = parentOf(admission);
  if (owner === undefined) return 'a run without a schedule that it belongs to';
  const { namespace } = admission;
  const what = `the ${owner.kind} ${owner.name} that this run belongs to`;
  const resource = owner.kind === 'EtcdBackup' ? ETCD_BACKUP_RESOURCE : ETCD_BACKUP_SCHEDULE_RESOURCE;
  try {
    const parent = await client.get<EtcdBackup | EtcdBackupSchedule>(
      { resource, namespace, name: owner.name },
      { signal },
    );
    if (parent.metadata.uid !== owner.uid) return `${what} is another one than its owner reference says`;
    if (parent.spec.schedule === undefined || parent.spec.schedule === '') return `${what} has no schedule`;
    return isSameStamp(parent.spec.requestedBy, stampOf(admission.object))
      ? undefined
      : `${what} was asked for by someone else than the stamp of the run says`;
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return `${what} does not exist`;
    throw error;
  }
}
