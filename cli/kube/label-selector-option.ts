import { GuardianError } from '../../lib/guardian-error.ts';
import type { LabelRequirement, LabelSelector } from '../../lib/kubernetes/api/etcd-backup-spec.ts';

/**
 * A selector as kubectl's -l takes it: `team=a,tier in (web, db),!temporary`. Throws `usage.selector`, also for an
 * empty one, which would mean every namespace.
 */
export function parseSelector(text: string, option: string): LabelSelector {
  const terms = text.split(/,(?![^(]*\))/).map((term) => term.trim());
  const matchLabels: Record<string, string> = {};
  const matchExpressions: LabelRequirement[] = [];
  for (const term of terms) {
    const { key, value, other, absent, set, values, present } = TERM.exec(term)?.groups ?? {};
    if (key !== undefined && value !== undefined) matchLabels[key] = value;
    else if (key !== undefined && other !== undefined)
      matchExpressions.push({ key, operator: 'NotIn', values: [other] });
    else if (key !== undefined && set !== undefined)
      matchExpressions.push({
        ...{ key, operator: set === 'in' ? 'In' : 'NotIn' },
        values: (values ?? '').split(',').map((one) => one.trim()),
      });
    else if (absent !== undefined) matchExpressions.push({ key: absent, operator: 'DoesNotExist' });
    else if (present !== undefined) matchExpressions.push({ key: present, operator: 'Exists' });
    else
      throw new GuardianError('usage.selector', `${option}: "${text}" is no label selector`, {
        hint: 'write it as for kubectl -l: team=a, or "tier in (web, db),!temporary"',
      });
  }
  return {
    ...(Object.keys(matchLabels).length === 0 ? {} : { matchLabels }),
    ...(matchExpressions.length === 0 ? {} : { matchExpressions }),
  };
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._/-]*';
const VALUE = '[A-Za-z0-9._-]*';
const TERM = new RegExp(
  `^(?:(?<key>${NAME})\\s*(?:==?\\s*(?<value>${VALUE})|!=\\s*(?<other>${VALUE})|\\s(?<set>in|notin)\\s*\\((?<values>[^()]+)\\))|!\\s*(?<absent>${NAME})|(?<present>${NAME}))$`,
);
