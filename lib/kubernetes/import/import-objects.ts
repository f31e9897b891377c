import { GuardianError } from '../../guardian-error.ts';
import { applyObject, isMadeByKubernetes } from './apply-object.ts';
import { type ExistingObject, findExisting } from './find-existing.ts';
import { inParallel } from '../in-parallel.ts';
import { type HeldRecords, holdRecords } from './hold-records.ts';
import type { ImportRequest } from './import-request.ts';
import { readyNamespaces } from './ready-namespaces.ts';
import { derivedFrom, restoreWaves } from './restore-order.ts';
import { type ObjectOutcome, objectText, type RestorableObject } from './stored-record.ts';
import { tieOwners, type Tied } from './tie-owners.ts';

export interface ImportResult {
  /** One of each object, in the order in which it happened. */
  readonly outcomes: readonly ObjectOutcome[];
}

/**
 * Restores what untrusted records hold into these namespaces, through the API server, as the client's user. What is
 * wrong with single objects is in the outcomes. Rejects before anything is written with `tenant.conflict`,
 * `tenant.namespace-missing`, `tenant.namespace-terminating`, `tenant.too-large`; later only where the API server can't
 * be asked, or the records break: the same call again goes on where this one ended.
 */
export async function importObjects(request: ImportRequest): Promise<ImportResult> {
  const { client, conflictPolicy, restore, signal } = request;

  // 1. What is in there, and what of it may come back?
  const { objects: found, outcomes } = await holdRecords(request);
  const uids = new Set(found.map(({ object }) => object.uid));
  const wanted: HeldRecords['objects'] = [];
  for (const held of found) {
    const reason = derivedFrom(held.object, uids);
    if (reason === undefined) wanted.push(held);
    else outcomes.push({ result: 'skipped', object: objectText(held.object), reason });
  }

  // 2. What is there already? With Fail nothing is written if anything is.
  const objects = wanted.map(({ object }) => object);
  const existing = await findExisting(client, objects, signal);
  if (conflictPolicy === 'Fail') refuseConflicts(objects, existing, restore);

  // 3. The namespaces, then everything in them.
  const { missing, outcomes: ofNamespaces } = await readyNamespaces(request, wanted);
  outcomes.push(...ofNamespaces);
  const applied = await applyAll(request, wanted, existing, missing);
  outcomes.push(
    ...(request.dryRun ? applied : await tieOwners(applied, client, signal)).map(({ outcome }) => outcome),
  );
  return { outcomes };
}

const AT_ONCE = 8;
const MOST_NAMED = 10;

function refuseConflicts(
  objects: readonly RestorableObject[],
  existing: ReadonlyMap<string, ExistingObject>,
  restore: string,
): void {
  const conflicts = objects.filter((object) => {
    const there = existing.get(object.key);
    return there !== undefined && there.restoredBy !== restore && !isMadeByKubernetes(object);
  });
  if (conflicts.length === 0) return;
  const named = conflicts.slice(0, MOST_NAMED).map(objectText).join(', ');
  const more = conflicts.length > MOST_NAMED ? ` and ${conflicts.length - MOST_NAMED} more` : '';
  throw new GuardianError(
    'tenant.conflict',
    `${conflicts.length} objects are there already, and nothing was restored: ${named}${more}`,
    { hint: 'Remove them, or restore with conflictPolicy Skip or Replace.' },
  );
}

async function applyAll(
  request: ImportRequest,
  wanted: HeldRecords['objects'],
  existing: ReadonlyMap<string, ExistingObject>,
  missing: ReadonlySet<string>,
): Promise<Tied[]> {
  const byKey = new Map(wanted.map((held) => [held.object.key, held]));
  const inNamespaces = wanted.map(({ object }) => object).filter(({ namespace }) => namespace !== undefined);
  const applied: Tied[] = [];
  for (const wave of restoreWaves(inNamespaces)) {
    applied.push(
      ...(await inParallel(AT_ONCE, wave, async (object): Promise<Tied> => {
        request.signal.throwIfAborted();
        if (missing.has(object.namespace ?? '')) return { object, uid: undefined, outcome: notTried(object) };
        const { offset = 0, length = 0 } = byKey.get(object.key) ?? {};
        const value = Buffer.from(await request.place.read(offset, length));
        return { object, ...(await applyObject(object, value, existing.get(object.key), request)) };
      })),
    );
    request.onProgress(applied.length, inNamespaces.length);
  }
  return applied;
}

/** A dry run into a namespace that isn't there. */
function notTried(object: RestorableObject): ObjectOutcome {
  const reason = 'not tried: the namespace would be made first';
  return { result: 'created', object: objectText(object), reason };
}
