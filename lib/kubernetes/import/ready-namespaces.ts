import { GuardianError, hasCode, reasonOf } from '../../guardian-error.ts';
import { applyObject } from './apply-object.ts';
import { existingOf } from './find-existing.ts';
import type { HeldRecords } from './hold-records.ts';
import type { ImportRequest } from './import-request.ts';
import { type ObjectOutcome, objectText } from './stored-record.ts';
import type { KubeClient, KubeObject } from '../kube-client.ts';

export interface ReadyNamespaces {
  /** In a dry run: those that are not there. */
  readonly missing: ReadonlySet<string>;
  readonly outcomes: readonly ObjectOutcome[];
}

/**
 * Makes sure that the namespaces are there: one that isn't is created as the requester, with labels and annotations as
 * far as the backup has them. One that is there stays as it is, unless everything is replaced. Rejects with
 * `tenant.namespace-missing`, `tenant.namespace-terminating` (retryable), and the clients' errors.
 */
export async function readyNamespaces(
  request: ImportRequest,
  held: HeldRecords['objects'],
): Promise<ReadyNamespaces> {
  const { ownClient, namespaces, dryRun, signal } = request;
  const missing = new Set<string>();
  const outcomes: ObjectOutcome[] = [];
  const there = new Map<string, KubeObject>();
  for (const name of namespaces) {
    const object = await namespaceNow(ownClient, name, signal);
    if (object?.metadata.deletionTimestamp !== undefined) throw terminating(name);
    if (object !== undefined) there.set(name, object);
  }
  for (const name of namespaces) {
    const found = held.find(({ object }) => object.namespace === undefined && object.name === name);
    const now = there.get(name);
    const text = `namespaces ${name}`;
    if (now === undefined && dryRun) {
      missing.add(name);
      outcomes.push({
        result: 'created',
        object: text,
        reason: 'not tried: what is in it could not be either',
      });
    } else if (now === undefined) outcomes.push(await createNamespace(name, found, request));
    else if (existingOf(now.metadata).restoredBy === request.restore)
      outcomes.push({ result: 'created', object: text, reason: '' });
    else if (found === undefined || request.conflictPolicy !== 'Replace') {
      if (found !== undefined)
        outcomes.push({ result: 'skipped', object: text, reason: 'the namespace is there already' });
    } else outcomes.push(await replaceNamespace(found, now, request));
  }
  return { missing, outcomes };
}

const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces' } as const;

async function namespaceNow(
  client: KubeClient,
  name: string,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  try {
    return await client.get<KubeObject>({ resource: NAMESPACES, name }, { signal });
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return undefined;
    throw error;
  }
}

type Held = HeldRecords['objects'][number];

async function createNamespace(
  name: string,
  found: Held | undefined,
  request: ImportRequest,
): Promise<ObjectOutcome> {
  const { client, signal, place } = request;
  if (found !== undefined) {
    const value = Buffer.from(await place.read(found.offset, found.length));
    const { outcome } = await applyObject(found.object, value, undefined, request);
    if (outcome.result !== 'failed') return outcome;
    throw missingNamespace(name, outcome.reason);
  }
  try {
    await client.create(
      NAMESPACES,
      undefined,
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      { signal },
    );
  } catch (error) {
    if (hasCode(error, 'kubernetes.exists'))
      return { result: 'skipped', object: `namespaces ${name}`, reason: '' };
    if (!(error instanceof GuardianError) || error.retryable) throw error;
    throw missingNamespace(name, reasonOf(error));
  }
  const reason = 'without labels and annotations: the backup has none of them';
  return { result: 'created', object: `namespaces ${name}`, reason };
}

/** Whoever may not change a namespace still gets back what is in it. */
async function replaceNamespace(
  { object, offset, length }: Held,
  now: KubeObject,
  request: ImportRequest,
): Promise<ObjectOutcome> {
  const value = Buffer.from(await request.place.read(offset, length));
  const { outcome } = await applyObject(object, value, existingOf(now.metadata), request);
  if (outcome.result !== 'failed') return outcome;
  const reason = `its labels and annotations stay as they are: ${outcome.reason}`;
  return { result: 'skipped', object: objectText(object), reason };
}

function missingNamespace(name: string, reason: string): GuardianError {
  return new GuardianError(
    'tenant.namespace-missing',
    `namespace ${name} doesn't exist, and could not be created: ${reason}`,
    { hint: 'Ask an administrator to create it with your RoleBindings in it, then restore again.' },
  );
}

function terminating(name: string): GuardianError {
  return new GuardianError('tenant.namespace-terminating', `namespace ${name} is being deleted`, {
    hint: 'Wait until it is gone, then restore.',
    retryable: true,
  });
}
