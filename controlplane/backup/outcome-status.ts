import type { BackupValidation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { Condition, EtcdBackupStatus } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { BackupOutcome } from './backup-run.ts';
import { snapshotLocation } from './snapshot-location.ts';

/** What was made, as the status has it. */
export type OutcomeStatus = Required<
  Pick<EtcdBackupStatus, 'snapshotLocation' | 'etcdRevision' | 'effectiveMode' | 'source'>
> &
  EtcdBackupStatus;

/** Revisions are exact up to 2^53, which etcd doesn't reach. */
export function outcomeStatus(outcome: BackupOutcome, wanted: BackupValidation, now: Date): OutcomeStatus {
  const { location, cluster, point, mode, snapshotBytes, storedBytes, namespaces } = outcome;
  const { endpoint, memberId, etcdVersion } = outcome;
  const { timeline, chain, revision } = point;
  return {
    snapshotSize: snapshotBytes,
    storedSize: storedBytes,
    snapshotLocation:
      outcome.snapshotLocation ??
      snapshotLocation({
        ...{ store: location, cluster, timeline, chain },
        revision: mode === 'INCREMENTAL' ? revision : undefined,
      }),
    etcdRevision: Number(revision),
    restorePoint: {
      ...{ cluster, timeline, chain },
      revision: Number(revision),
      time: new Date(outcome.pointTimeMs).toISOString(),
    },
    effectiveMode: mode === 'FULL' ? 'Full' : 'Incremental',
    source: {
      ...(endpoint === undefined || endpoint === '' ? {} : { endpoint }),
      ...(memberId === undefined || memberId === 0n ? {} : { member: memberId.toString(16) }),
      ...(etcdVersion === undefined || etcdVersion === '' ? {} : { etcdVersion }),
    },
    ...(namespaces === undefined ? {} : { namespaces }),
    validationResult: validationOf(outcome, wanted, now),
  };
}

function validationOf(
  { mode, modeReason, validation }: BackupOutcome,
  wanted: BackupValidation,
  now: Date,
): NonNullable<EtcdBackupStatus['validationResult']> {
  const { verdict, proof, proofMessage, proofRevision, hashKv, compactRevision, totalKeys, sha256 } =
    validation;
  const message = [proofMessage, modeReason === '' ? '' : `a full backup was made: ${modeReason}`]
    .filter((text) => text !== '')
    .join('; ');
  const checked = wanted.enabled ? verdict : 'Skipped';
  return {
    verdict: checked,
    checkTime: now.toISOString(),
    proof,
    ...(message === '' ? {} : { proofMessage: message.slice(0, LONGEST_PROOF_MESSAGE) }),
    ...(proofRevision > 0n ? { proofRevision: Number(proofRevision) } : {}),
    ...(mode === 'FULL' && sha256 !== ''
      ? { hashKV: hashKv, compactRevision: Number(compactRevision), totalKeys, sha256 }
      : {}),
  };
}

const LONGEST_PROOF_MESSAGE = 1_000;

export function validatedCondition({
  mode,
  validation: { verdict, proof, proofMessage },
}: BackupOutcome): readonly ['Validated', Condition['status'], string, string] {
  if (proof !== 'None')
    return [
      'Validated',
      'True',
      proof,
      'every page and record was checked, and a live member has the same hash',
    ];
  if (verdict === 'Sound')
    return ['Validated', 'True', 'Sound', `every page and record was checked; ${proofMessage}`];
  const text = mode === 'INCREMENTAL' ? 'increments are checked when they are merged' : 'nothing was checked';
  return ['Validated', 'Unknown', 'Skipped', `${text}; ${proofMessage}`];
}
