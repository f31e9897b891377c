import { DRILL_ANNOTATION } from '../../lib/kubernetes/drill-annotation.ts';
import { checkRights, forbidden } from '../../lib/kubernetes/rights/check-rights.ts';
import { clusterRight } from '../../lib/kubernetes/rights/single-rights.ts';
import type { Admission, SentObject } from '../admission-review.ts';
import { CONTENT, isControlPlane, type Policy, verdict } from '../policy.ts';

/**
 * Who asks for a drill may restore the whole cluster: it takes a control-plane node's disk and processor, and others'
 * drills wait for it.
 */
export const drills: Policy = {
  name: 'drills',
  concerns: ({ operation, subresource, kind }) =>
    operation !== 'DELETE' && subresource === '' && kind !== 'EtcdRestore',
  async judge(admission, tools) {
    if (isControlPlane(admission, tools) || !isNewlyAsked(admission)) return CONTENT;
    tools.shares.ask(admission.user.username, 1);
    const missing = await checkRights(tools.client, admission.user, [RIGHT], tools.signal);
    if (missing.length === 0) return CONTENT;
    const { message, hint, retryable } = forbidden(admission.user, missing);
    return verdict([{ kind: 'forbidden', message, hint, retryable }]);
  },
};

const RIGHT = clusterRight(
  'restore',
  `annotation ${DRILL_ANNOTATION} rehearses a restore of the whole cluster`,
  `Leave annotation ${DRILL_ANNOTATION} out`,
);

function isNewlyAsked({ object, oldObject }: Admission): boolean {
  return [ownValue, valueOfRuns].some((of) => {
    const value = of(object);
    return value !== undefined && value !== '' && value !== of(oldObject);
  });
}

function ownValue(object: SentObject | undefined): unknown {
  return object?.metadata.annotations?.[DRILL_ANNOTATION];
}

/** Of a schedule: each of its runs would ask. */
function valueOfRuns(object: SentObject | undefined): unknown {
  return ['backupTemplate', 'metadata', 'annotations', DRILL_ANNOTATION].reduce<unknown>(
    (value, field) => (isRecord(value) ? value[field] : undefined),
    object?.spec,
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
