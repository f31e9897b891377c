import { z } from 'zod';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import { encodeDocument, FORMAT_VERSION, readDocument } from './document.ts';
import { removalName, removalsFolder } from './layout.ts';
import { listMarks } from './list-marks.ts';
import { misplaced } from './misplaced.ts';
import type { BackupPlace, Removal, RemovalRequest, RepositorySettings } from './repository.ts';
import { instant, words } from './wire.ts';

/** How long a removed backup can be had back at least. */
export const GRACE_MS = 24 * 60 * 60 * 1000;

/**
 * One step in a backup's removal. Marks are write-once and counted: of two that are written at once, one wins, and the
 * other's writer looks again. Thus an undelete and a sweep can't both happen.
 */
export const removalDocument = {
  payloadType: 'application/vnd.etcdguardian.removal+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    timeline: z.string(),
    id: z.string(),
    number: z.int(),
    action: z.enum(['remove', 'undelete', 'sweep']),
    at: instant,
    by: words,
    reason: words.optional(),
  }),
};

type RemovalMark = z.output<typeof removalDocument.schema>;

/** What the marks of one backup say together. */
export interface RemovalState {
  readonly removal: Removal | undefined;
  /** Marks that can't be read or trusted; they change nothing. */
  readonly problems: readonly GuardianError[];
  /** The number of the last mark that counts; 0: none. */
  readonly last: number;
}

/** The marks in one timeline, by backup id. */
export async function listRemovalMarks(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, StoredObject[]>> {
  return listMarks(settings, removalsFolder(cluster, timeline), 'removal', signal);
}

/** Reads the marks of one backup, as listed. */
export async function readRemoval(
  settings: RepositorySettings,
  marks: readonly StoredObject[],
  signal: AbortSignal | undefined,
): Promise<RemovalState> {
  let state: RemovalState = { removal: undefined, problems: [], last: 0 };
  for (const object of marks) {
    try {
      state = afterMark(state, await readMark(settings, object.name, signal), object.modifiedAt);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GuardianError) || error.retryable) throw error;
      state = { ...state, problems: [...state.problems, error] };
    }
  }
  return state;
}

/** Lists and reads the marks of one backup. */
export async function removalOf(
  settings: RepositorySettings,
  place: BackupPlace,
  signal: AbortSignal | undefined,
): Promise<RemovalState> {
  const folder = `${removalsFolder(place.cluster, place.timeline)}${place.id}/`;
  const marks = await listMarks(settings, folder, 'removal', signal);
  return readRemoval(settings, marks.get(place.id) ?? [], signal);
}

/**
 * Takes one step, if the state still allows it: `undefined` means that `mayFollow` said no. Resolves to the new state.
 */
export async function markRemoval(
  settings: RepositorySettings,
  place: BackupPlace,
  action: RemovalMark['action'],
  request: RemovalRequest,
  mayFollow: (state: RemovalState) => boolean,
  signal: AbortSignal | undefined,
): Promise<RemovalState | undefined> {
  let state = await removalOf(settings, place, signal);
  for (let number = state.last + 1; mayFollow(state) && number <= LAST_MARK; number++) {
    const { cluster, timeline, id } = place;
    const { by, reason } = request;
    const at = settings.clock();
    const mark: RemovalMark = {
      formatVersion: FORMAT_VERSION,
      cluster,
      timeline,
      id,
      number,
      action,
      at,
      by,
      reason,
    };
    try {
      const bytes = encodeDocument(removalDocument, mark, settings.signer);
      const { modifiedAt } = await settings.store.putIfAbsent(removalName(place, number), bytes, { signal });
      return afterMark(state, mark, modifiedAt);
    } catch (error) {
      if (!hasCode(error, 'store.exists')) throw error;
      state = await removalOf(settings, place, signal);
    }
  }
  return undefined;
}

const LAST_MARK = 9999;

async function readMark(
  { store, verifier }: RepositorySettings,
  name: string,
  signal: AbortSignal | undefined,
): Promise<RemovalMark> {
  const { value } = await readDocument(store, removalDocument, name, verifier, signal);
  const itself = removalName(
    { cluster: value.cluster, timeline: value.timeline, id: value.id },
    value.number,
  );
  if (itself !== name) throw misplaced(name, itself);
  return value;
}

/** The grace counts from the writer's time or the store's, whichever is later: a wrong clock must not shorten it. */
function afterMark(state: RemovalState, mark: RemovalMark, storedAt: Date): RemovalState {
  const { last: before, problems } = state;
  const last = Math.max(before, mark.number);
  switch (mark.action) {
    case 'remove': {
      const deleteAfter = new Date(Math.max(mark.at.getTime(), storedAt.getTime()) + GRACE_MS);
      const removal = {
        removedAt: mark.at,
        by: mark.by,
        reason: mark.reason,
        deleteAfter,
        swept: false,
        mark: last,
      };
      return { removal, problems, last };
    }
    case 'undelete':
      return { removal: undefined, problems, last };
    case 'sweep':
      return { removal: state.removal && { ...state.removal, swept: true, mark: last }, problems, last };
  }
}
