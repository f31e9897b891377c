import { invalid, type Objection, type Policy, verdict } from '../policy.ts';
import type { Admission } from '../admission-review.ts';
import { hasSchedule } from '../subject.ts';

/** A name becomes a label, and with a schedule the beginning of its runs' names. */
export const names: Policy = {
  name: 'names',
  concerns: ({ operation, subresource }) => operation === 'CREATE' && subresource === '',
  judge: (admission) => verdict(problems(admission)),
};

const LONGEST = 63;
/** `-yyyymmdd-hhmmss` is added. */
const LONGEST_SCHEDULED = 47;
/** What an API server adds to `generateName`, of which it takes no more than fits into 63. */
const GENERATED = 5;

function* problems({ kind, object }: Admission): Generator<Objection> {
  const { name = '', generateName = '' } = object?.metadata ?? {};
  const isScheduled = kind === 'EtcdBackupSchedule' || (kind === 'EtcdBackup' && hasSchedule(object));
  const longest = isScheduled ? LONGEST_SCHEDULED : LONGEST;
  const length = name === '' ? Math.min(generateName.length, LONGEST - GENERATED) + GENERATED : name.length;
  if (length > longest) {
    const why = isScheduled ? 'since its runs add date and time to it' : 'since it becomes a label';
    yield invalid('metadata.name', `it has at most ${longest} characters, ${why}`);
  }
}
