import { Buffer } from 'node:buffer';
import { GuardianError } from '../../guardian-error.ts';
import type { EntryBatch } from '../bolt/entry-batch.ts';
import { type KeyValue, KeyValueFields } from './key-value.ts';
import { isRevisionKey, readMain, readSub, TOMBSTONE_KEY_SIZE } from './revision.ts';

/** One record of bucket `key` after the other, in place: one object serves millions of them. */
export class RecordCursor {
  main = 0;
  sub = 0;
  tombstone = false;
  /** Offsets are into `bytes`. */
  readonly fields = new KeyValueFields();

  private readonly path: string;
  private batch: EntryBatch | undefined;
  private start = 0;
  private end = 0;

  /** `path`: of the file, for errors. */
  constructor(path: string) {
    this.path = path;
  }

  get bytes(): Buffer {
    return this.batch?.bytes ?? Buffer.alloc(0);
  }

  /** Only the revision of entry `index`: all that is needed to pass it by. Rejects with `mvcc.corrupt`. */
  seek(batch: EntryBatch, index: number): void {
    const keyStart = batch.keyStarts[index] ?? 0;
    const keySize = batch.keySizes[index] ?? 0;
    this.batch = batch;
    if (!isRevisionKey(batch.bytes, keyStart, keySize)) {
      throw this.corrupt(
        `the key ${batch.bytes.toString('hex', keyStart, keyStart + Math.min(keySize, 40))} is no revision`,
      );
    }
    this.main = readMain(batch.bytes, keyStart);
    this.sub = readSub(batch.bytes, keyStart);
    this.tombstone = keySize === TOMBSTONE_KEY_SIZE;
    this.start = keyStart + keySize;
    this.end = this.start + (batch.valueSizes[index] ?? 0);
  }

  /** The record itself, into `fields`. Rejects with `mvcc.corrupt`. */
  read(): void {
    if (!this.fields.read(this.bytes, this.start, this.end)) {
      throw this.corrupt(`the record of revision ${this.main}/${this.sub} is not an mvccpb.KeyValue`);
    }
  }

  /** True for the record that a bumped restore leaves behind: it belongs to no key. */
  get isBump(): boolean {
    return this.fields.keyStart === this.fields.keyEnd;
  }

  /** A copy of what was read. */
  copy(): KeyValue {
    const { fields, start, end } = this;
    const record = Buffer.from(this.bytes.subarray(start, end));
    return {
      key: record.subarray(fields.keyStart - start, fields.keyEnd - start),
      createRevision: BigInt(fields.createRevision),
      modRevision: BigInt(this.main),
      version: BigInt(fields.version),
      value: record.subarray(fields.valueStart - start, fields.valueEnd - start),
      lease: fields.lease,
    };
  }

  private corrupt(what: string): GuardianError {
    return new GuardianError('mvcc.corrupt', `${this.path}: ${what}`, {
      hint: 'Use another snapshot, or another member of the same cluster.',
    });
  }
}
