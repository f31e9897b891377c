import type { RestoreState } from '../../lib/agent-api/restore-messages.ts';
import type { CoordinatorProgress, RestoreOutcome } from '../../lib/restore/cluster/coordinate-restore.ts';
import type { ClusterPlan } from '../../lib/restore/cluster/cluster-plan.ts';
import type { NamespaceRestoreOutcome } from '../namespace-restore/run-namespace-restore.ts';
import type { PlannedRestore } from './plan-restore.ts';

/** What is known of one restore, by this process or by what the agents remember. */
export interface RestoreReport {
  readonly operation: string;
  readonly step: 'Planning' | 'Applying' | CoordinatorProgress['step'];
  /** Of what goes on, for people. */
  readonly message: string;
  readonly term: bigint;
  readonly startedAt: Date;
  readonly admitted: boolean;
  readonly source: Pick<PlannedRestore['source'], 'snapshotLocation' | 'backupName'> | undefined;
  readonly plan: ClusterPlan | undefined;
  /** By node. */
  readonly states: ReadonlyMap<string, RestoreState>;
  readonly end: RestoreEnd | undefined;
}

export type RestoreEnd =
  | { readonly kind: 'planned' }
  | { readonly kind: 'namespaces'; readonly outcome: NamespaceRestoreOutcome }
  | { readonly kind: 'refused'; readonly failure: unknown; readonly all: readonly unknown[] }
  | (RestoreOutcome & { readonly hooksFailed: readonly string[] });

/** It has begun to stage, and isn't over. */
export function isUnderWay({ end, step }: RestoreReport): boolean {
  return end === undefined && step !== 'Planning' && step !== 'Applying';
}
