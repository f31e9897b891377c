import type { EntryBatch } from '../bolt/entry-batch.ts';
import type { BoltFile } from '../bolt/reader.ts';
import type { KeyValue } from './key-value.ts';
import { RecordCursor } from './record-cursor.ts';
import type { Revision } from './revision.ts';

/** One change of a key. */
export interface KeyChange extends Revision {
  /** What was put; undefined for a deletion. */
  readonly put: KeyValue | undefined;
}

/**
 * Every change of one key that the file still holds, the oldest first. A scan of all history: etcd's files have no
 * index by key. Rejects with `mvcc.corrupt`, and as `openBoltFile` does.
 */
export function historyOf(
  file: BoltFile,
  key: Buffer,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<KeyChange, void> {
  return changesOf(file.entries('key', options), key, file.path);
}

/** The same of entries of bucket `key` from anywhere; `where` names that in errors. */
export async function* changesOf(
  entries: AsyncIterable<EntryBatch>,
  key: Buffer,
  where: string,
): AsyncGenerator<KeyChange, void> {
  const record = new RecordCursor(where);
  for await (const batch of entries) {
    for (let index = 0; index < batch.count; index++) {
      record.seek(batch, index);
      record.read();
      const { keyStart, keyEnd } = record.fields;
      if (keyEnd - keyStart !== key.length || batch.bytes.compare(key, 0, key.length, keyStart, keyEnd) !== 0)
        continue;
      if (record.isBump) continue;
      const put = record.tombstone ? undefined : record.copy();
      yield { main: BigInt(record.main), sub: BigInt(record.sub), put };
    }
  }
}
