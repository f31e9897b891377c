import { visibleText } from '../visible-text.ts';
import type { Condition } from './api/etcd-backup-status.ts';

export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>;

/** Limits of the custom resources' schema. */
const LONGEST_REASON = 1_024;
const LONGEST_MESSAGE = 32_768;

/**
 * The conditions with this one set. Its `lastTransitionTime` is the time when its status last changed, not the text.
 * Reasons may be error codes: `kubernetes.not-found` becomes `KubernetesNotFound`, which the schema takes.
 */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  update: ConditionUpdate,
  now: Date,
): Condition[] {
  const others = conditions ?? [];
  const known = others.find(({ type }) => type === update.type);
  const condition: Condition = {
    ...update,
    reason: conditionReason(update.reason),
    message: visibleText(update.message.slice(0, LONGEST_MESSAGE / 8)),
    lastTransitionTime: known?.status === update.status ? known.lastTransitionTime : seconds(now),
  };
  return known === undefined
    ? [...others, condition]
    : others.map((other) => (other === known ? condition : other));
}

/** One word in CamelCase out of anything. */
export function conditionReason(text: string): string {
  const words = text.match(/[A-Za-z0-9]+/g) ?? [];
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return /^[A-Za-z]/.test(joined)
    ? joined.slice(0, LONGEST_REASON)
    : `Reason${joined}`.slice(0, LONGEST_REASON);
}

/** As Kubernetes writes times. */
function seconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
