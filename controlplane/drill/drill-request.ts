import { createHash } from 'node:crypto';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { DRILL_ANNOTATION } from '../../lib/kubernetes/drill-annotation.ts';
import { recordOfBackup } from './drill-series.ts';

/** On a Job: the value that it serves. */
export const SERVED_ANNOTATION = 'etcdguardian.io/drill-requested';

const LONGEST_VALUE = 256;

/** The value of the annotation that no drill has served yet. */
export function unservedRequest(backup: EtcdBackup): string | undefined {
  const value = backup.metadata.annotations?.[DRILL_ANNOTATION]?.trim().slice(0, LONGEST_VALUE) ?? '';
  return value === '' || value === recordOfBackup(backup).drill?.requested ? undefined : value;
}

/**
 * The name of the Job of the next drill of a backup; `choice`: the first that is free is taken. It follows from the backup
 * and from the last drill that its status tells: whoever goes on where another died finds the Job that was begun, and a Job
 * whose drill is recorded is never taken for the next one.
 */
export function drillName(backup: EtcdBackup, choice = 0): string {
  const { uid = '', name } = backup.metadata;
  const { time = '', requested = '' } = recordOfBackup(backup).drill ?? {};
  const hash = createHash('sha256')
    .update(JSON.stringify([uid, time, requested, ...(choice === 0 ? [] : [choice])]))
    .digest('hex');
  const shown = name.replaceAll('.', '-').slice(0, LONGEST_SHOWN).replace(/-+$/, '');
  return `drill-${shown}-${hash.slice(0, 10)}`;
}

/** All that the Job of its next drill may be called. */
export function drillNames(backup: EtcdBackup): readonly string[] {
  return [0, 1, 2, 3].map((choice) => drillName(backup, choice));
}

/** Pods add six characters, and their names become labels of at most 63. */
const LONGEST_SHOWN = 36;
