import { GuardianError } from '../../guardian-error.ts';
import type { LabelRequirement, LabelSelector } from '../api/etcd-backup-spec.ts';

/**
 * A selector as lists take it in `labelSelector`. Throws `admission.selector` where a key or value isn't one: put into
 * the text it would select something else.
 */
export function labelSelectorText(selector: LabelSelector): string {
  const [wrong] = selectorProblems(selector);
  if (wrong !== undefined) {
    throw new GuardianError('admission.selector', `namespaceSelector.${wrong}`, {
      hint: 'Write it as kubectl explain etcdbackups.spec.namespaceSelector says.',
    });
  }
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(requirementText),
  ].join(',');
}

/** What is wrong with a selector, each with the field that is. */
export function selectorProblems({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string[] {
  return [
    ...Object.entries(matchLabels).flatMap(([key, value]) => [
      ...(isLabelKey(key) ? [] : [`matchLabels: ${JSON.stringify(key)} is no name of a label`]),
      ...(isLabelValue(value) ? [] : [`matchLabels: ${JSON.stringify(value)} is no value of a label`]),
    ]),
    ...matchExpressions.flatMap(({ key, operator, values = [] }, at) => {
      const field = `matchExpressions[${at}]`;
      const wrong = values.find((value) => !isLabelValue(value));
      const needsValues = operator === 'In' || operator === 'NotIn';
      return [
        ...(isLabelKey(key) ? [] : [`${field}.key: ${JSON.stringify(key)} is no name of a label`]),
        ...(wrong === undefined ? [] : [`${field}.values: ${JSON.stringify(wrong)} is no value of a label`]),
        ...(OPERATORS.has(operator) ? [] : [`${field}.operator: ${JSON.stringify(operator)} is unknown`]),
        ...(needsValues === values.length > 0
          ? []
          : [`${field}: In and NotIn need values; Exists and DoesNotExist have none`]),
      ];
    }),
  ];
}

/** `name` or `prefix/name`, as Kubernetes has it for labels and annotations. */
export function isLabelKey(key: string): boolean {
  const [name = '', prefix, rest] = key.split('/').reverse();
  if (rest !== undefined || !/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(name)) return false;
  return (
    prefix === undefined ||
    (prefix.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(prefix))
  );
}

export function isLabelValue(value: string): boolean {
  return /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/.test(value);
}

const OPERATORS: ReadonlySet<string> = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist']);

function requirementText({ key, operator, values = [] }: LabelRequirement): string {
  switch (operator) {
    case 'In':
      return `${key} in (${values.join(',')})`;
    case 'NotIn':
      return `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}
