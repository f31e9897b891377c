import { createHash } from 'node:crypto';
import { selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import type { ScheduleSource } from './schedule-source.ts';

/** A capture that schedules want: of this cluster, into one place, with one key. */
export interface WantedCapture {
  /** Follows from the place and the key, so that whoever wants the same shares it. */
  readonly operation: string;
  /** All that want it; the first one's Secrets and rights are used. */
  readonly owners: readonly ScheduleSource[];
}

const PREFIX = 'capture-';

/** Whether an operation on an agent is one of ours to start and stop. */
export function isCaptureOperation(operation: string): boolean {
  return operation.startsWith(PREFIX);
}

/**
 * The captures that all schedules together want: those in mode Incremental that aren't suspended or being deleted, over
 * the whole cluster. An etcd without an agent has none: its increments catch up with what changed when they are due.
 */
export function wantedCaptures(sources: readonly ScheduleSource[], cluster: string): WantedCapture[] {
  const wanted = new Map<string, ScheduleSource[]>();
  const ordered = [...sources].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  for (const source of ordered) {
    const { backupMode, etcdEndpoints = [], namespaceSelector } = source.runSpec;
    const captures =
      backupMode === 'Incremental' &&
      etcdEndpoints.length === 0 &&
      selectsAll(namespaceSelector) &&
      !source.suspend &&
      source.metadata.deletionTimestamp === undefined;
    if (!captures) continue;
    const operation = operationOf(source, cluster);
    wanted.set(operation, [...(wanted.get(operation) ?? []), source]);
  }
  return [...wanted].map(([operation, owners]) => ({ operation, owners }));
}

function operationOf({ metadata, runSpec }: ScheduleSource, cluster: string): string {
  const { provider, bucket, prefix = '', endpoint = '' } = runSpec.storageLocation;
  const { enabled, encryptionSecret = '' } = runSpec.encryption;
  const key = enabled ? `${metadata.namespace ?? ''}/${encryptionSecret}` : '';
  const what = JSON.stringify([cluster, provider, endpoint, bucket, prefix.replace(/\/+$/, ''), key]);
  return PREFIX + createHash('sha256').update(what).digest('hex').slice(0, 32);
}

export function nameOf({ kind, metadata }: ScheduleSource): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}
