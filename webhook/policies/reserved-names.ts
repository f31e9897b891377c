import {
  CONTENT,
  invalid,
  isControlPlane,
  type Objection,
  type Policy,
  type PolicyTools,
  verdict,
} from '../policy.ts';
import type { Admission } from '../admission-review.ts';
import { checkRights, forbidden } from '../../lib/kubernetes/rights/check-rights.ts';
import { clusterRight } from '../../lib/kubernetes/rights/single-rights.ts';

/** Labels and finalizers of etcdguardian.io say what the control plane did, or has yet to do. */
export const reservedNames: Policy = {
  name: 'reserved-names',
  concerns: ({ operation, subresource }) => operation !== 'DELETE' && subresource === '',
  async judge(admission, tools) {
    if (isControlPlane(admission, tools)) return CONTENT;
    const objections = [...labelProblems(admission), ...addedFinalizers(admission)];
    return verdict([...objections, ...(await removedFinalizers(admission, tools))]);
  },
};

/** Of our group, or of one below it. */
export function isOurs(key: string): boolean {
  const [prefix = '', name] = key.split('/');
  return name !== undefined && (prefix === 'etcdguardian.io' || prefix.endsWith('.etcdguardian.io'));
}

function* labelProblems({ object, oldObject }: Admission): Generator<Objection> {
  const [now, before] = [object?.metadata.labels ?? {}, oldObject?.metadata.labels ?? {}];
  for (const key of new Set([...Object.keys(now), ...Object.keys(before)])) {
    if (isOurs(key) && now[key] !== before[key])
      yield invalid('metadata.labels', `${key} is for etcdguardian itself to set`);
  }
}

function* addedFinalizers(admission: Admission): Generator<Objection> {
  const [now, before] = finalizers(admission);
  for (const one of now) {
    if (!before.includes(one))
      yield invalid('metadata.finalizers', `${one} is for etcdguardian itself to set`);
  }
}

/** Whoever may back up everything may also let go of what an installation that is no more would have cleaned up. */
async function removedFinalizers(
  admission: Admission,
  { client, signal }: PolicyTools,
): Promise<Objection[]> {
  const [now, before] = finalizers(admission);
  const removed = before.find((one) => !now.includes(one));
  if (removed === undefined) return [];
  const right = clusterRight(
    'backup',
    `finalizer ${removed} waits for stored data to be removed`,
    'Wait until the control plane removes it; the status of the resource says what it waits for',
  );
  const missing = await checkRights(client, admission.user, [right], signal);
  if (missing.length === 0) return [];
  const { message, hint, retryable } = forbidden(admission.user, missing);
  return [{ kind: 'forbidden', message, hint, retryable }];
}

function finalizers({ object, oldObject }: Admission): readonly [now: string[], before: string[]] {
  const ours = (list: readonly string[] = []): string[] => list.filter(isOurs);
  return [ours(object?.metadata.finalizers), ours(oldObject?.metadata.finalizers)];
}
