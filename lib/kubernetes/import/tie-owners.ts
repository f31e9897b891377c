import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { KubeClient } from '../kube-client.ts';
import { inParallel } from '../in-parallel.ts';
import { lineText, type ObjectOutcome, type RestorableObject } from './stored-record.ts';

/** An object with what became of it, and the uid that it has now. */
export interface Tied {
  readonly object: RestorableObject;
  readonly uid: string | undefined;
  readonly outcome: ObjectOutcome;
}

const AT_ONCE = 8;

/**
 * Gives restored objects their owners back, by the uids that these have now. What owned something and isn't here is
 * told: a reference to it would make the garbage collector take the object.
 */
export async function tieOwners(
  applied: readonly Tied[],
  client: KubeClient,
  signal: AbortSignal,
): Promise<Tied[]> {
  const uidNow = new Map(
    applied.flatMap(({ object, uid }) =>
      uid === undefined ? [] : [[placeOf(object, object.uid), uid] as const],
    ),
  );
  return await inParallel(AT_ONCE, applied, async (tied) => {
    const { object, uid, outcome } = tied;
    const written = outcome.result === 'created' || outcome.result === 'replaced';
    if (!written || uid === undefined || object.owners.length === 0) return tied;
    const ownerReferences = object.owners.flatMap((owner) => {
      const ownerUid = uidNow.get(placeOf(object, owner.uid));
      return ownerUid === undefined ? [] : [{ ...owner, uid: ownerUid }];
    });
    const lost = object.owners.filter((owner) => !uidNow.has(placeOf(object, owner.uid)));
    const reasons = lost.map(({ kind, name }) => `its owner ${kind} ${name} isn't restored`);
    if (ownerReferences.length > 0) {
      const { served: resource, namespace, name } = object;
      try {
        await client.mergePatch(
          { resource, namespace, name },
          { metadata: { uid, ownerReferences } },
          { signal },
        );
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof GuardianError) || isOfTheMoment(error)) throw error;
        reasons.push(`it belongs to nobody now: ${reasonOf(error)}`);
      }
    }
    if (reasons.length === 0) return tied;
    return { ...tied, outcome: { ...outcome, reason: lineText(reasons.join('; ')) } };
  });
}

function placeOf({ namespace = '' }: RestorableObject, uid: string): string {
  return `${namespace}/${uid}`;
}

function isOfTheMoment({ retryable, code }: GuardianError): boolean {
  return retryable && code !== 'kubernetes.conflict';
}
