import { isDeepStrictEqual } from 'node:util';
import type { EtcdBackupSpec, Requester } from '../lib/kubernetes/api/etcd-backup-spec.ts';
import type { EtcdBackupScheduleSpec } from '../lib/kubernetes/api/etcd-backup-schedule-spec.ts';
import type { EtcdRestoreSpec } from '../lib/kubernetes/api/etcd-restore-spec.ts';
import type { Asked } from '../lib/kubernetes/rights/required-rights.ts';
import type { Admission, SentObject } from './admission-review.ts';

/**
 * What is asked for, with its types: only for validating hooks, where the API server has judged it by the CRD's schema
 * and set defaults. Undefined without a spec.
 */
export function askedOf({ kind, namespace, object }: Admission): Asked | undefined {
  if (object?.spec === undefined) return undefined;
  const spec = object.spec as unknown;
  switch (kind) {
    case 'EtcdBackup':
      return { kind, namespace, spec: spec as EtcdBackupSpec };
    case 'EtcdBackupSchedule':
      return { kind, namespace, spec: spec as EtcdBackupScheduleSpec };
    case 'EtcdRestore':
      return { kind, namespace, spec: spec as EtcdRestoreSpec };
  }
}

/** The backup that is to be made, of a schedule its template; with the path of its fields. */
export function backupOf(
  asked: Asked | undefined,
): { readonly path: string; readonly spec: EtcdBackupSpec } | undefined {
  if (asked?.kind === 'EtcdBackup') return { path: 'spec', spec: asked.spec };
  if (asked?.kind === 'EtcdBackupSchedule')
    return { path: 'spec.backupTemplate.spec', spec: asked.spec.backupTemplate.spec };
  return undefined;
}

/** The stamp of an object, as it stands there. */
export function stampOf(object: SentObject | undefined): unknown {
  return object?.spec?.requestedBy;
}

/** Whether something else is asked for than before; the stamp is no part of what is asked. */
export function isSpecChanged({ object, oldObject }: Admission): boolean {
  return !isDeepStrictEqual(unstamped(object), unstamped(oldObject));
}

/** Those that are written once: everything but schedules. */
export function isOneOff({ kind, oldObject, object }: Admission): boolean {
  if (kind === 'EtcdBackupSchedule') return false;
  return kind === 'EtcdRestore' || !hasSchedule(oldObject ?? object);
}

export function hasSchedule(object: SentObject | undefined): boolean {
  const schedule = object?.spec?.schedule;
  return schedule !== undefined && schedule !== '';
}

/** Stamps are compared as JSON has them; groups in their order. */
export function isSameStamp(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(normal(one), normal(other));
}

/** What is being created, or changed in what is asked for: the only requests whose spec is judged. */
export function isAsked(admission: Admission): boolean {
  if (admission.subresource !== '' || admission.object?.spec === undefined) return false;
  return admission.operation === 'CREATE' || (admission.operation === 'UPDATE' && isSpecChanged(admission));
}

function unstamped(object: SentObject | undefined): unknown {
  if (object?.spec === undefined) return undefined;
  return Object.fromEntries(Object.entries(object.spec).filter(([field]) => field !== 'requestedBy'));
}

/** An API server may keep an empty list or leave it out. */
function normal(stamp: unknown): unknown {
  if (typeof stamp !== 'object' || stamp === null) return undefined;
  const { username, uid, groups, extra } = stamp as Partial<Requester>;
  return {
    username,
    uid: uid === '' ? undefined : uid,
    groups: groups?.length === 0 ? undefined : groups,
    extra: Object.keys(extra ?? {}).length === 0 ? undefined : extra,
  };
}
