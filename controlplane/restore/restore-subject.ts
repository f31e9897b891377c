import { z } from 'zod';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';

/**
 * An EtcdRestore as it goes into the agents' journals: the restored etcd may not know it, and then it is made again from
 * this. No secrets are in it; a spec only names them.
 */
export interface RestoreSubject {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly createdAt: string;
  /** When it began to run. */
  readonly startedAt: string;
  readonly snapshotLocation: string;
  readonly backupName?: string | undefined;
  /** Absent where it is too large to be kept. */
  readonly spec?: EtcdRestoreSpec | undefined;
}

const schema = z.object({
  ...{
    namespace: z.string(),
    name: z.string(),
    uid: z.string(),
    createdAt: z.string(),
    startedAt: z.string(),
  },
  ...{ snapshotLocation: z.string(), backupName: z.string().optional() },
  // As the API server had admitted it.
  spec: z.custom<EtcdRestoreSpec>((value) => typeof value === 'object' && value !== null).optional(),
});

/** Descriptions of agents hold up to 50 of them. */
const LARGEST = 32 * 1024;

export function subjectText(subject: RestoreSubject): string {
  const text = JSON.stringify(subject);
  return text.length <= LARGEST ? text : JSON.stringify({ ...subject, spec: undefined });
}

/** Undefined for what is none, e.g. of a restore that a person led by the CLI. */
export function parseSubject(text: string): RestoreSubject | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function subjectOf(
  { metadata, spec }: EtcdRestore,
  from: Pick<RestoreSubject, 'snapshotLocation' | 'backupName'>,
  startedAt: Date,
): RestoreSubject {
  const { namespace = '', name, uid = '', creationTimestamp } = metadata;
  return {
    ...{ namespace, name, uid, spec },
    createdAt: timeText(creationTimestamp) ?? startedAt.toISOString(),
    startedAt: startedAt.toISOString(),
    snapshotLocation: from.snapshotLocation,
    ...(from.backupName === undefined ? {} : { backupName: from.backupName }),
  };
}

function timeText(time: string | Date | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time;
}
