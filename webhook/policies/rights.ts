import type { Requester } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import {
  type Asked,
  isNamespaced,
  selectsAll,
  type Surroundings,
} from '../../lib/kubernetes/rights/required-rights.ts';
import { judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import { CONTENT, isControlPlane, type Policy } from '../policy.ts';
import { askedOf, backupOf, isAsked, stampOf } from '../subject.ts';

/**
 * The requester may have what is asked: the sender, and for a run of a schedule whoever asked for the schedule. What was
 * judged here is judged again by each run.
 */
export const rights: Policy = {
  name: 'rights',
  concerns: isAsked,
  async judge(admission, tools) {
    const asked = askedOf(admission);
    if (asked === undefined) return CONTENT;
    const { client, settings, shares, signal } = tools;
    const stamped = isControlPlane(admission, tools) ? stampOf(admission.object) : undefined;
    // The policy of stamps has its own word on whether this is the right one.
    const requester = isRequester(stamped) ? stamped : admission.user;
    // Runs of schedules come at the pace of the control plane, and must not be held up by what else their requester sends.
    const ask = (questions: number): void => {
      if (!isControlPlane(admission, tools)) shares.ask(admission.user.username, questions);
    };
    // For what is read before it is known how much there is to ask.
    ask(1);
    const { refusal, surroundings, scope } = await judgeRights(
      ...([client, requester, asked, settings, signal, 'as-known', ask] as const),
    );
    if (refusal === undefined) return { objections: [], scope, warnings: warningsOf(asked, surroundings) };
    const { message, hint, retryable } = refusal;
    return { objections: [{ kind: 'forbidden', message, hint, retryable }], scope };
  },
};

function isRequester(stamp: unknown): stamp is Requester {
  return (
    typeof stamp === 'object' && stamp !== null && 'username' in stamp && typeof stamp.username === 'string'
  );
}

function warningsOf(asked: Asked, { namespaces, source }: Surroundings): string[] {
  const selector = backupOf(asked)?.spec.namespaceSelector;
  if (!selectsAll(selector) && namespaces.length === 0)
    return ['namespaceSelector selects no namespace now; each run is judged by what it selects then'];
  if (asked.kind !== 'EtcdRestore' || asked.spec.backupName === undefined) return [];
  if (source === undefined)
    return [`there is no EtcdBackup or EtcdBackupSchedule ${asked.spec.backupName} in this namespace now`];
  const hasFilter = (asked.spec.namespaceFilter ?? []).length > 0;
  return isNamespaced(asked.spec, source) && !hasFilter
    ? ['all namespaces of the backup are restored; the run is judged by those that it holds']
    : [];
}
