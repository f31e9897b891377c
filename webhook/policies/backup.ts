import type { Hook } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { selectorProblems } from '../../lib/kubernetes/rights/label-selector.ts';
import { durationSeconds } from '../duration.ts';
import { CONTENT, invalid, type Objection, type Policy, verdict } from '../policy.ts';
import { askedOf, backupOf, isAsked } from '../subject.ts';

/** What belongs together in a backup, and in a schedule's template. */
export const backup: Policy = {
  name: 'backup',
  concerns: (admission) => isAsked(admission) && admission.kind !== 'EtcdRestore',
  judge(admission) {
    const found = backupOf(askedOf(admission));
    return found === undefined ? CONTENT : verdict(problems(found));
  },
};

function* problems({ path, spec }: NonNullable<ReturnType<typeof backupOf>>): Generator<Objection> {
  const {
    etcdEndpoints = [],
    etcdCertificates,
    retentionPolicy,
    validation,
    namespaceSelector,
    hooks,
  } = spec;
  if (etcdCertificates !== undefined) {
    if (etcdEndpoints.some((endpoint) => endpoint.toLowerCase().startsWith('http://')))
      yield invalid(
        `${path}.etcdEndpoints`,
        'with etcdCertificates every one of etcdEndpoints must be https',
      );
    if ((etcdCertificates.cert === undefined) !== (etcdCertificates.key === undefined))
      yield invalid(
        `${path}.etcdCertificates`,
        'a client certificate needs its key, and a key its certificate',
      );
  }
  const { maxAge } = retentionPolicy ?? {};
  if (maxAge !== undefined) {
    const seconds = durationSeconds(maxAge);
    if (seconds === undefined || seconds < 60)
      yield invalid(`${path}.retentionPolicy.maxAge`, 'maxAge is at least a minute, like "720h"');
  }
  if (!validation.enabled && validation.consistencyCheck)
    yield invalid(`${path}.validation`, 'consistencyCheck is a part of validation, which is not enabled');
  const isSchedule = path !== 'spec' || (spec.schedule ?? '') !== '';
  if (isSchedule && spec.veleroIntegration.backupName !== undefined) {
    yield invalid(
      `${path}.veleroIntegration.backupName`,
      'it is for a single backup; the runs of a schedule name their Velero backups themselves',
    );
  }
  for (const problem of selectorProblems(namespaceSelector ?? {})) {
    const [field = '', ...text] = problem.split(': ');
    yield invalid(`${path}.namespaceSelector.${field}`, text.join(': '));
  }
  yield* hookProblems(`${path}.hooks.preBackup`, hooks?.preBackup);
  yield* hookProblems(`${path}.hooks.postBackup`, hooks?.postBackup);
}

/** Also those of restores. */
export function* hookProblems(path: string, hooks: readonly Hook[] = []): Generator<Objection> {
  for (const [at, { exec }] of hooks.entries()) {
    if (exec === undefined) yield invalid(`${path}[${at}]`, 'a hook of type Exec needs exec.command');
    else if (exec.command.some((argument) => argument.includes('\0')))
      yield invalid(`${path}[${at}].exec.command`, 'no program takes an argument with a zero byte');
  }
}
