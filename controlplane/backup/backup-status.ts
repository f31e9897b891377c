import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Condition, EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { setCondition } from '../../lib/kubernetes/set-condition.ts';
import { visibleText } from '../../lib/visible-text.ts';
import type { AttemptResult } from './attempt-backup.ts';
import type { RunProgress } from './backup-run.ts';
import { outcomeStatus, validatedCondition } from './outcome-status.ts';

/** What the status of an EtcdBackup becomes; pure: from what it was, what is known and the time. */
type Status = EtcdBackupStatus;

/** An attempt begins; written before anything is done, so that attempts that end with the process count too. */
export function begunStatus({ metadata, status = {} }: EtcdBackup, now: Date): Status {
  const { uid = '', generation } = metadata;
  const attempts = (status.source?.attempts ?? 0) + 1;
  return {
    ...without(status, ['reason', 'progress', 'completionTime']),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase: 'Running',
    step: 'Validating',
    message: attempts === 1 ? 'begun' : `begun, attempt ${attempts}`,
    startTime: status.startTime ?? now.toISOString(),
    source: { ...status.source, operation: uid, attempts },
    conditions: conditionsOf({ metadata, status }, now, [
      // Whoever chooses an agent looks whether the last one failed; until that is decided it stays.
      ...(isRetrying(status) ? [] : [PROGRESSING]),
      ['Ready', 'False', 'Running', 'the backup is being made'],
    ]),
  };
}

/** `node`: who does it, once that is decided. */
export function runningStatus(
  { metadata, status = {} }: EtcdBackup,
  { progress, node, admitted }: { progress: RunProgress; node: string | undefined; admitted: boolean },
  now: Date,
): Status {
  const { step, message, doneBytes, totalBytes } = progress;
  const bytes = doneBytes > 0 || totalBytes > 0;
  const known = totalBytes > 0 ? { totalBytes } : {};
  return {
    ...without(status, ['progress', 'message']),
    ...{ phase: 'Running', step },
    ...(message === '' ? {} : { message: limited(message) }),
    ...(bytes ? { progress: { doneBytes, ...known, updateTime: now.toISOString() } } : {}),
    source: { ...status.source, ...(node === undefined ? {} : { node }) },
    conditions: conditionsOf({ metadata, status }, now, [
      ...(admitted ? [ADMITTED] : []),
      ...(node === undefined ? [] : [PROGRESSING]),
    ]),
  };
}

/** The attempt before failed, and who makes the next one is not decided yet. */
export function isRetrying({ conditions = [] }: Status): boolean {
  return conditions.some(({ type, reason }) => type === 'Progressing' && reason === 'Retrying');
}

const PROGRESSING = ['Progressing', 'True', 'Running', 'the backup is being made'] as const;

const ADMITTED = ['Admitted', 'True', 'RightsHeld', 'whoever asked has the rights that this needs'] as const;

export function completedStatus(
  { metadata, spec, status = {} }: EtcdBackup,
  { outcome, failedHooks }: AttemptResult,
  now: Date,
): Status {
  const made = outcomeStatus(outcome, spec.validation, now);
  const { proof, proofMessage } = outcome.validation;
  const proven =
    proof === 'None' ? `not compared with a live member: ${proofMessage}` : 'equal to a live member';
  const velero = [
    'VeleroCompleted',
    'False',
    'NotYetSupported',
    'this version makes no backups by Velero; make one yourself, e.g. with velero backup create',
  ] as const;
  const hooks = failedHooks.map(({ name, node, message }) => `${name} on ${node}: ${message}`).join('; ');
  return {
    ...without(status, ['reason', 'progress', 'step']),
    ...made,
    source: { ...status.source, ...made.source },
    phase: 'Completed',
    message: limited(
      `backed up to revision ${outcome.point.revision}, ${proven}${hooks === '' ? '' : `; postBackup hooks failed: ${hooks}`}`,
    ),
    completionTime: now.toISOString(),
    conditions: conditionsOf({ metadata, status }, now, [
      ADMITTED,
      ['Progressing', 'False', 'Completed', 'nothing is left to do'],
      ['Stored', 'True', 'Committed', `it lies at ${made.snapshotLocation}`],
      validatedCondition(outcome),
      ...(spec.veleroIntegration.enabled ? [velero] : []),
      ...(spec.hooks?.postBackup === undefined
        ? []
        : [
            hooks === ''
              ? (['HooksCompleted', 'True', 'AllSucceeded', 'all hooks succeeded'] as const)
              : (['HooksCompleted', 'False', 'PostBackupFailed', hooks] as const),
          ]),
      ['Ready', 'True', 'Completed', 'it can be restored from'],
    ]),
  };
}

/** `step` is where it was; a backup that is not sound has a result that says so. */
export function failedStatus({ metadata, status = {} }: EtcdBackup, error: unknown, now: Date): Status {
  const { reason, message } = failureOf(error);
  const unsound = UNSOUND.has(reason);
  return {
    ...without(status, ['progress']),
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
    phase: 'Failed',
    ...{ reason, message },
    startTime: status.startTime ?? now.toISOString(),
    completionTime: now.toISOString(),
    ...(unsound
      ? {
          validationResult: {
            verdict: 'Unsound',
            checkTime: now.toISOString(),
            proof: reason === 'backup.hash-mismatch' ? 'Mismatch' : 'None',
            problems: [{ code: reason, message: message.slice(0, LONGEST_PROBLEM) }],
          },
        }
      : {}),
    conditions: conditionsOf({ metadata, status }, now, [
      ...(reason === 'admission.forbidden' || reason === 'controlplane.no-requester'
        ? [['Admitted', 'False', reason, message] as const]
        : []),
      ['Progressing', 'False', 'Failed', message],
      ...(unsound ? [['Validated', 'False', reason, message] as const] : []),
      ['Ready', 'False', reason, message],
    ]),
  };
}

/** Failed, and tried again at `again`. */
export function waitingStatus(
  { metadata, status = {} }: EtcdBackup,
  error: unknown,
  again: Date,
  now: Date,
): Status {
  const { reason, message } = failureOf(error);
  const told = limited(
    `attempt ${status.source?.attempts ?? 1} failed: ${message} Next try at ${again.toISOString()}.`,
  );
  return {
    ...without(status, ['progress']),
    ...{ phase: 'Running', reason, message: told },
    conditions: conditionsOf({ metadata, status }, now, [['Progressing', 'True', 'Retrying', told]]),
  };
}

/** Codes that speak against the data, not against those who carry it. */
export const UNSOUND: ReadonlySet<string> = new Set([
  'backup.unsound',
  'backup.unproven',
  'backup.hash-mismatch',
]);

export function failureOf(error: unknown): { readonly reason: string; readonly message: string } {
  const known = error instanceof GuardianError ? error : undefined;
  const sentence = reasonOf(error).replace(/[.\s]*$/, '');
  const hint = known?.hint === undefined ? '' : ` ${known.hint}`;
  return { reason: known?.code ?? 'controlplane.defect', message: limited(`${sentence}.${hint}`) };
}

const LONGEST_MESSAGE = 4_000;
const LONGEST_PROBLEM = 1_000;

function limited(text: string): string {
  return visibleText(text.slice(0, LONGEST_MESSAGE)).slice(0, LONGEST_MESSAGE);
}

type Told = readonly [type: string, status: Condition['status'], reason: string, message: string];

function conditionsOf(
  { metadata, status }: Pick<EtcdBackup, 'metadata' | 'status'>,
  now: Date,
  told: readonly Told[],
): Condition[] {
  const observed = metadata.generation === undefined ? {} : { observedGeneration: metadata.generation };
  return told.reduce<Condition[]>(
    (conditions, [type, is, reason, message]) =>
      setCondition(conditions, { type, status: is, reason, message, ...observed }, now),
    [...(status?.conditions ?? [])],
  );
}

function without<K extends keyof Status>(status: Status, fields: readonly K[]): Omit<Status, K> {
  const left: Partial<Record<keyof Status, unknown>> = { ...status };
  for (const field of fields) left[field] = undefined;
  return left as Omit<Status, K>;
}
