import { GuardianError, hasCode, reasonOf } from '../../guardian-error.ts';
import { rewriteObject, type Rewriting, type SendableObject } from '../../keyspace/rewrite-object.ts';
import type { KubeClient, KubeObject } from '../kube-client.ts';
import { collectionPath, objectPath, queryText } from '../resource-path.ts';
import { type ExistingObject, existingOf, RESTORE_ANNOTATION } from './find-existing.ts';
import { lineText, type ObjectOutcome, objectText, type RestorableObject } from './stored-record.ts';

export type ConflictPolicy = 'Fail' | 'Skip' | 'Replace';

export interface Applying {
  /** Acts as the requester: the API server judges every object. */
  readonly client: KubeClient;
  /** The uid of the restore. */
  readonly restore: string;
  readonly conflictPolicy: ConflictPolicy;
  /** Asks the API server to try only. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

export interface Applied {
  readonly outcome: ObjectOutcome;
  /** Of the object that stands there now; undefined where none does. */
  readonly uid: string | undefined;
}

/**
 * Creates one object, or does with the one that is there what the policy says. What the API server refuses is in the
 * outcome; rejects only where it can't be asked now, and with the signal's reason.
 */
export async function applyObject(
  object: RestorableObject,
  value: Buffer,
  existing: ExistingObject | undefined,
  applying: Applying,
): Promise<Applied> {
  const text = objectText(object);
  try {
    if (existing !== undefined) return await settle(object, value, existing, applying, text);
    try {
      const created = await send(object, value, undefined, applying);
      return { outcome: { result: 'created', object: text, reason: '' }, uid: created.metadata.uid };
    } catch (error) {
      if (!hasCode(error, 'kubernetes.exists')) throw error;
      const { client, signal } = applying;
      const { served: resource, namespace, name } = object;
      const { metadata } = await client.get<KubeObject>({ resource, namespace, name }, { signal });
      return await settle(object, value, existingOf(metadata), applying, text);
    }
  } catch (error) {
    applying.signal.throwIfAborted();
    if (isOfTheMoment(error)) throw error;
    return { outcome: { result: 'failed', object: text, reason: shown(error) }, uid: undefined };
  }
}

async function settle(
  object: RestorableObject,
  value: Buffer,
  existing: ExistingObject,
  applying: Applying,
  text: string,
): Promise<Applied> {
  const { conflictPolicy, restore } = applying;
  const { uid } = existing;
  const told = (result: ObjectOutcome['result'], reason: string): Applied => ({
    outcome: { result, object: text, reason },
    uid,
  });
  if (existing.restoredBy === restore) return told('created', '');
  if (conflictPolicy === 'Replace') {
    await send(object, value, existing, applying);
    return told('replaced', '');
  }
  if (conflictPolicy === 'Skip') return told('skipped', 'it is there already');
  if (isMadeByKubernetes(object)) return told('skipped', 'Kubernetes makes it in every namespace');
  return told('failed', 'it is there already, and conflictPolicy is Fail');
}

/** The default ServiceAccount is there as soon as a namespace is. */
export function isMadeByKubernetes({ directory, name }: RestorableObject): boolean {
  return directory === 'serviceaccounts' && name === 'default';
}

async function send(
  object: RestorableObject,
  value: Buffer,
  existing: ExistingObject | undefined,
  { client, restore, dryRun, signal }: Applying,
): Promise<KubeObject> {
  const { directory, served: resource, namespace, name } = object;
  const annotations = { [RESTORE_ANNOTATION]: restore };
  const { contentType, body } = rewritten(value, {
    ...{ directory, annotations, resourceVersion: existing?.resourceVersion },
    isSame: existing?.uid === object.uid,
  });
  const query = queryText({ fieldManager: 'etcdguardian', dryRun: dryRun ? 'All' : undefined });
  const options = { signal, contentType };
  const sent =
    existing === undefined
      ? await client.raw('POST', collectionPath(resource, namespace) + query, body, options)
      : await client.raw('PUT', objectPath({ resource, namespace, name }) + query, body, options);
  const answer = sent as Partial<KubeObject> | null;
  if (answer?.metadata === undefined)
    throw new GuardianError('kubernetes.refused', `${objectText(object)}: the answer is no object`);
  return { metadata: answer.metadata };
}

/** Its bytes are someone else's: what they make us throw is about this object, and no reason to try again. */
function rewritten(value: Buffer, rewriting: Rewriting): SendableObject {
  try {
    return rewriteObject(value, rewriting);
  } catch (error) {
    throw new GuardianError('tenant.malformed', `what is stored of it is damaged: ${reasonOf(error)}`);
  }
}

/** The whole restore is tried again then. */
function isOfTheMoment(error: unknown): boolean {
  if (!(error instanceof GuardianError)) return true;
  return error.retryable && !['kubernetes.conflict', 'kubernetes.gone'].includes(error.code);
}

const LONGEST_REASON = 400;

function shown(error: unknown): string {
  return lineText(reasonOf(error), LONGEST_REASON);
}
