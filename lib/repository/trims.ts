import { z } from 'zod';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import type { ChainPlace } from './chain.ts';
import { encodeDocument, FORMAT_VERSION, readDocument } from './document.ts';
import { trimName, trimsFolder } from './layout.ts';
import { listMarks } from './list-marks.ts';
import { misplaced } from './misplaced.ts';
import { GRACE_MS } from './removals.ts';
import type { RemovalRequest, RepositorySettings } from './repository.ts';
import { cutOut, type TrimmedSegments, withTrimmed } from './trimmed-segments.ts';
import type { TrimState } from './trim-state.ts';
import { count, decimal64, instant, words } from './wire.ts';

/** Removed segments: those whose names hold a revision x with `from` ≤ x < `to`. */
const trimmed = z.object({
  from: decimal64,
  to: decimal64,
  /** Number of the document that removed them. */
  trim: count,
  at: instant,
  by: words,
  reason: words.optional(),
  /** True: a sweep has begun to delete them, and there is no way back. */
  swept: z.boolean(),
});

/**
 * What is removed of a chain's segments, all of it: the last trusted document decides alone. Documents are write-once
 * and counted, so that of an undo and a sweep at once exactly one happens.
 */
export const trimDocument = {
  payloadType: 'application/vnd.etcdguardian.trim+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    cluster: z.string(),
    timeline: z.string(),
    chain: z.string(),
    number: z.int(),
    action: z.enum(['trim', 'undo', 'sweep']),
    at: instant,
    by: words,
    reason: words.optional(),
    /** Ascending, none overlapping another. */
    trimmed: z.array(trimmed).max(2048),
  }),
};

type TrimMark = z.output<typeof trimDocument.schema>;

/** A step in a chain's trimming. */
export type TrimStep =
  /** Removes the segments whose names hold revisions of these ranges. */
  | { readonly action: 'trim'; readonly ranges: readonly NameRange[] }
  /** Has what the trim of this number removed back, or everything that isn't swept. */
  | { readonly action: 'undo'; readonly trim: number | undefined }
  /** Says that everything that is past its grace is being deleted. */
  | { readonly action: 'sweep' };

export interface NameRange {
  /** Inclusive. */
  readonly from: bigint;
  /** Exclusive. */
  readonly to: bigint;
}

/** The documents of one timeline, by id of the chain. */
export async function listTrimMarks(
  settings: RepositorySettings,
  cluster: string,
  timeline: string,
  signal: AbortSignal | undefined,
): Promise<Map<string, StoredObject[]>> {
  return listMarks(settings, trimsFolder(cluster, timeline), 'trim', signal);
}

/** What the documents of a chain say, as listed: reads the last one, and older ones only while those can't be trusted. */
export async function readTrims(
  settings: RepositorySettings,
  marks: readonly StoredObject[],
  signal: AbortSignal | undefined,
): Promise<TrimState> {
  const problems: GuardianError[] = [];
  for (const [index, object] of [...marks.entries()].reverse()) {
    try {
      const mark = await readMark(settings, object.name, signal);
      return { ...afterMark(mark, object.modifiedAt), problems, superseded: marks.slice(0, index) };
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GuardianError) || error.retryable) throw error;
      problems.push(error);
    }
  }
  return { trimmed: [], last: 0, problems, superseded: [] };
}

/** Lists and reads those of one chain. */
export async function trimsOf(
  settings: RepositorySettings,
  chain: ChainPlace,
  signal: AbortSignal | undefined,
): Promise<TrimState> {
  const folder = `${trimsFolder(chain.cluster, chain.timeline)}${chain.id}/`;
  const marks = await listMarks(settings, folder, 'trim', signal);
  return readTrims(settings, marks.get(chain.id) ?? [], signal);
}

/** Takes a step, if it changes anything, whatever others write at the same time. Resolves to the state after it. */
export async function markTrim(
  settings: RepositorySettings,
  chain: ChainPlace,
  step: TrimStep,
  request: RemovalRequest,
  signal: AbortSignal | undefined,
): Promise<TrimState> {
  let state = await trimsOf(settings, chain, signal);
  // Numbers that are taken by documents which can't be trusted are passed over, so that nobody can block the next one.
  for (let number = state.last + 1; number <= LAST_MARK; number++) {
    const at = settings.clock();
    const { by, reason } = request;
    const next = afterStep(state.trimmed, step, { by, reason, at, trim: number });
    if (next === undefined) return state;
    const { cluster, timeline, id } = chain;
    const place = { formatVersion: FORMAT_VERSION, cluster, timeline, chain: id, number };
    const mark: TrimMark = {
      ...place,
      action: step.action,
      at,
      by,
      reason,
      trimmed: next.map(withoutDeadline),
    };
    try {
      const bytes = encodeDocument(trimDocument, mark, settings.signer);
      const { modifiedAt } = await settings.store.putIfAbsent(trimName(chain, number), bytes, { signal });
      return { ...state, ...afterMark(mark, modifiedAt) };
    } catch (error) {
      if (!hasCode(error, 'store.exists')) throw error;
      state = await trimsOf(settings, chain, signal);
      number = Math.max(number, state.last);
    }
  }
  throw new GuardianError('repository.trims-exhausted', `chain ${chain.id} has no number left for a trim`, {
    hint: 'Take a new base, and let capture begin a new chain with it.',
  });
}

const LAST_MARK = 999_999;

/** Undefined when the step changes nothing. */
function afterStep(
  before: readonly TrimmedSegments[],
  step: TrimStep,
  mark: Pick<TrimmedSegments, 'at' | 'by' | 'reason' | 'trim'>,
): readonly TrimmedSegments[] | undefined {
  const { at, by, reason, trim } = mark;
  switch (step.action) {
    case 'trim': {
      const ranges = step.ranges.flatMap((range) => cutOut(range, before));
      const added = ranges.map(({ from, to }) => ({ from, to, trim, at, by, reason, ...PRESENT(at) }));
      return added.length === 0 ? undefined : withTrimmed(before, added);
    }
    case 'undo': {
      const kept = before.filter((one) => one.swept || (step.trim !== undefined && one.trim !== step.trim));
      return kept.length === before.length ? undefined : kept;
    }
    case 'sweep': {
      const isDue = (one: TrimmedSegments): boolean => !one.swept && one.deleteAfter <= at;
      if (!before.some(isDue)) return undefined;
      return withTrimmed(
        [],
        before.map((one) => (isDue(one) ? { ...one, swept: true } : one)),
      );
    }
  }
}

const PRESENT = (at: Date) => ({ swept: false, deleteAfter: afterGrace(at) }) as const;

function withoutDeadline({
  from,
  to,
  trim,
  at,
  by,
  reason,
  swept,
}: TrimmedSegments): TrimMark['trimmed'][number] {
  return { from, to, trim, at, by, reason, swept };
}

/**
 * The grace counts from the writer's time or the store's, whichever is later: a wrong clock must not shorten it. The
 * store's is known of what this very document trimmed; documents after it carry the later one on.
 */
function afterMark(mark: TrimMark, storedAt: Date): Pick<TrimState, 'trimmed' | 'last'> {
  const all = mark.trimmed.map((one) => {
    const at = one.trim === mark.number && storedAt > one.at ? storedAt : one.at;
    return { ...one, at, reason: one.reason, deleteAfter: afterGrace(at) };
  });
  return { trimmed: all, last: mark.number };
}

function afterGrace(at: Date): Date {
  return new Date(at.getTime() + GRACE_MS);
}

async function readMark(
  { store, verifier }: RepositorySettings,
  name: string,
  signal: AbortSignal | undefined,
): Promise<TrimMark> {
  const { value } = await readDocument(store, trimDocument, name, verifier, signal);
  const { cluster, timeline, chain, number } = value;
  const itself = trimName({ cluster, timeline, id: chain }, number);
  if (itself !== name) throw misplaced(name, itself);
  return value;
}
