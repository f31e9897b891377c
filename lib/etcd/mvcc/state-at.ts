import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import type { EntryBatch } from '../bolt/entry-batch.ts';
import type { BoltFile } from '../bolt/reader.ts';
import { KeyTable } from './key-table.ts';
import type { KeyValue } from './key-value.ts';
import { RecordCursor } from './record-cursor.ts';
import { readStoreRevisions } from './store-revisions.ts';

/** True for the user keys that are wanted: bytes[start, end). */
export type KeyFilter = (bytes: Buffer, start: number, end: number) => boolean;

export interface StateOptions {
  /** Left out: the newest. */
  readonly revision?: bigint | undefined;
  /** Left out: every key. `withPrefixes` makes one. */
  readonly select?: KeyFilter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The keys that were alive at a revision, with all that etcd tells of them, in the order in which they were last
 * changed. Two passes over the file up to there; memory of some 40 to 80 bytes for each key that was ever selected.
 *
 * Rejects with `mvcc.compacted` or `mvcc.future-revision` for a revision that the file doesn't hold, `mvcc.corrupt`,
 * and as `openBoltFile` does.
 */
export async function* stateAt(file: BoltFile, options: StateOptions = {}): AsyncGenerator<KeyValue, void> {
  const revision = await checkedRevision(file, options.revision);
  const live = await lastChanges(file, revision, options);
  for await (const records of recordsUpTo(file, revision, options)) {
    for (const record of records) if (isLive(live, record)) yield record.copy();
  }
}

/** Selects keys that begin with any of these. */
export function withPrefixes(prefixes: readonly (string | Uint8Array)[]): KeyFilter {
  const wanted = prefixes.map((prefix) => Buffer.from(prefix as string));
  return (bytes, start, end) =>
    wanted.some(
      (prefix) =>
        end - start >= prefix.length &&
        bytes.compare(prefix, 0, prefix.length, start, start + prefix.length) === 0,
    );
}

/** The revision as a number, the newest when none is asked for. */
export async function checkedRevision(file: BoltFile, asked: bigint | undefined): Promise<number> {
  const { currentRevision, compactRevision } = await readStoreRevisions(file);
  const revision = asked ?? currentRevision;
  if (revision > currentRevision) {
    throw new GuardianError(
      'mvcc.future-revision',
      `${file.path} ends at revision ${currentRevision}, before ${revision}`,
      {
        hint: `Ask for revision ${currentRevision} or an earlier one, or use a later snapshot.`,
      },
    );
  }
  if (revision < compactRevision) {
    throw new GuardianError(
      'mvcc.compacted',
      `${file.path} was compacted at revision ${compactRevision}: ${revision} is gone`,
      {
        hint: `Ask for revision ${compactRevision} or a later one, or use an earlier snapshot.`,
      },
    );
  }
  return Number(revision);
}

/** The word of a key's slot that says whether its last change was a put. */
const ALIVE = 0;

/** For each selected key its last change up to `revision`, a put or a deletion. */
export async function lastChanges(
  file: BoltFile,
  revision: number,
  options: StateOptions,
  table = new KeyTable(1),
): Promise<KeyTable> {
  for await (const records of recordsUpTo(file, revision, options)) {
    for (const record of records) {
      const slot = table.findOrAdd(record);
      table.setRevision(slot, record.main, record.sub);
      table.setWord(slot, ALIVE, record.tombstone ? 0 : 1);
    }
  }
  return table;
}

/** True when the record's key is alive in the state that `lastChanges` saw. */
export function hasLive(table: KeyTable, record: RecordCursor): boolean {
  const slot = table.find(record);
  return slot >= 0 && table.word(slot, ALIVE) === 1;
}

/** True when the record is what its key holds in that state. */
export function isLive(table: KeyTable, record: RecordCursor): boolean {
  if (record.tombstone) return false;
  const slot = table.find(record);
  return slot >= 0 && table.mainAt(slot) === record.main && table.subAt(slot) === record.sub;
}

/**
 * Every selected change up to `revision`, in order, as one and the same cursor: an iterable for each batch, to be used
 * up before the next. Bump records are left out.
 */
export async function* recordsUpTo(
  file: BoltFile,
  revision: number,
  { select, signal }: StateOptions,
): AsyncGenerator<Iterable<RecordCursor>, void> {
  const record = new RecordCursor(file.path);
  const progress = { ended: false };
  const selected = function* (batch: EntryBatch): Generator<RecordCursor, void> {
    for (let index = 0; index < batch.count; index++) {
      record.seek(batch, index);
      if (record.main > revision) {
        progress.ended = true;
        return;
      }
      record.read();
      if (record.isBump) continue;
      const { keyStart, keyEnd } = record.fields;
      if (select === undefined || select(batch.bytes, keyStart, keyEnd)) yield record;
    }
  };
  for await (const batch of file.entries('key', { signal })) {
    yield selected(batch);
    if (progress.ended) return;
  }
}
