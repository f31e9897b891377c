import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { NeededKey } from '../../keyspace/keys-needed.ts';
import type { ResourceCount } from './count-resources.ts';
import type { ListedResource } from './list-resources.ts';
import { type Phase, PHASES } from './phase-times.ts';

/** One thing that was looked at. */
export interface Check {
  /** What should hold. */
  readonly name: string;
  readonly passed: boolean;
  /** What was found. */
  readonly detail: string;
}

/** A program that a drill ran. */
export interface UsedProgram {
  readonly program: string;
  readonly version: string;
}

/** What ended a drill before all was looked at. */
export interface DrillProblem {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly phase: Phase | undefined;
}

/** What one drill showed. Plain data. */
export interface DrillReport {
  readonly result: 'passed' | 'failed';
  readonly startedAt: Date;
  /** What was restored, for people. */
  readonly point: string;
  /** The revision of the data. */
  readonly revision: bigint;
  readonly databaseBytes: number;
  readonly etcd: UsedProgram | undefined;
  readonly apiServer: UsedProgram | undefined;
  /**
   * From looking for the restore point until what was restored served, checks not counted: what a recovery of one member
   * takes on this machine. Undefined when it never served.
   */
  readonly recoverySeconds: number | undefined;
  readonly phases: Readonly<Partial<Record<Phase, number>>>;
  readonly checks: readonly Check[];
  readonly problem: DrillProblem | undefined;
  /** What every member of the restored cluster would answer for HashKV(0). */
  readonly hashKV: number | undefined;
  readonly keys: number | undefined;
  /** Counted in etcd. */
  readonly resources: readonly ResourceCount[];
  /** Listed by the API server; undefined where none was started. */
  readonly listed: readonly Pick<ListedResource, 'resource' | 'objects' | 'problem'>[] | undefined;
  /** What API servers need to read values; whether this drill showed that they can is one of `checks`. */
  readonly encryptionAtRest: readonly NeededKey[];
  readonly warnings: readonly string[];
}

/** What nobody foresaw has a code of its own. */
export function drillProblem(error: unknown, phase: Phase | undefined): DrillProblem {
  if (!(error instanceof GuardianError))
    return { code: 'drill.failed', message: reasonOf(error), hint: undefined, phase };
  const { code, message, hint } = error;
  return { code, message, hint, phase };
}

/** Whether everything was looked at and holds. */
export function resultOf({
  checks,
  problem,
}: Pick<DrillReport, 'checks' | 'problem'>): DrillReport['result'] {
  return problem === undefined && checks.every(({ passed }) => passed) ? 'passed' : 'failed';
}

/** All phases but the checks, which no recovery waits for. */
export function recoverySecondsOf(phases: DrillReport['phases']): number {
  const seconds = PHASES.filter((phase) => phase !== 'checks').map((phase) => phases[phase] ?? 0);
  return Math.round(seconds.reduce((sum, each) => sum + each, 0) * 1000) / 1000;
}
