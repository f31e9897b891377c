import type { Admission } from '../admission-review.ts';
import { invalid, type Objection, type Policy, verdict } from '../policy.ts';
import { hasSchedule, isOneOff, isSpecChanged, stampOf } from '../subject.ts';

/** What is done once can't be changed, and a schedule is neither added nor removed; metadata may change. */
export const immutability: Policy = {
  name: 'immutability',
  concerns: ({ operation, subresource }) => operation === 'UPDATE' && subresource === '',
  judge: (admission) => verdict(problems(admission)),
};

function* problems(admission: Admission): Generator<Objection> {
  const { kind, object, oldObject } = admission;
  if (stampOf(oldObject) !== undefined && stampOf(object) === undefined)
    yield invalid('spec.requestedBy', "requestedBy can't be removed");
  if (!isSpecChanged(admission)) return;
  if (kind === 'EtcdRestore')
    yield invalid('spec', "a restore can't be changed; delete it and create another one");
  if (kind !== 'EtcdBackup') return;
  if (hasSchedule(object) !== hasSchedule(oldObject))
    yield invalid(
      'spec.schedule',
      'a schedule can be changed, but neither added nor removed; create another backup',
    );
  else if (isOneOff(admission))
    yield invalid('spec', "a backup without a schedule can't be changed; create another one");
}
