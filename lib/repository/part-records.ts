import { Buffer } from 'node:buffer';
import { damagedDocument } from './document.ts';

/** One object of a backup of namespaces. */
export interface PartRecord {
  /** Behind the prefix in etcd: `configmaps/prod/settings`. */
  readonly key: string;
  /** As etcd held it; what the API server gave is JSON. */
  readonly value: Buffer;
}

/** Larger ones are neither written nor read. */
export const MAX_KEY_BYTES = 1024;
export const MAX_VALUE_BYTES = 8 << 20;

/** A part as it is before compression (docs/format.md, "Parts"). Keys and values must be within the limits. */
export async function* encodeRecords(records: AsyncIterable<PartRecord>): AsyncGenerator<Buffer, void> {
  yield MAGIC;
  for await (const { key, value } of records) {
    const name = Buffer.from(key);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(name.length);
    head.writeUInt32LE(value.length, 4);
    yield Buffer.concat([head, name, value]);
  }
}

/**
 * The records of a part. Holds one at a time. Rejects with `repository.damaged`, naming `name`, as soon as the bytes
 * can't be a part, or one of its limits is passed.
 */
export async function* decodeRecords(
  plain: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<PartRecord, void> {
  const input = new Input(plain);
  const magic = await input.take(MAGIC.length);
  if (!magic.equals(MAGIC)) throw damagedDocument(name, 'it does not begin as a part does');
  for (;;) {
    const head = await input.take(HEAD_BYTES);
    if (head.length === 0) return;
    if (head.length < HEAD_BYTES) throw damagedDocument(name, 'it ends within a record');
    const [keyBytes, valueBytes] = [head.readUInt32LE(), head.readUInt32LE(4)];
    if (keyBytes === 0 || keyBytes > MAX_KEY_BYTES)
      throw damagedDocument(name, `it has a key of ${keyBytes} bytes`);
    if (valueBytes > MAX_VALUE_BYTES) throw damagedDocument(name, `it has a value of ${valueBytes} bytes`);
    const body = await input.take(keyBytes + valueBytes);
    if (body.length < keyBytes + valueBytes) throw damagedDocument(name, 'it ends within a record');
    yield { key: keyOf(body.subarray(0, keyBytes), name), value: body.subarray(keyBytes) };
  }
}

const MAGIC = Buffer.from('EGPART1\n');
const HEAD_BYTES = 8;

function keyOf(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw damagedDocument(name, 'it has a key that is no UTF-8', error);
  }
}

class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(plain: AsyncIterable<Uint8Array>) {
    this.#chunks = plain[Symbol.asyncIterator]();
  }

  /** So many bytes; fewer only at the end. */
  async take(size: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let missing = size;
    while (missing > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) break;
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      missing -= piece.length;
      pieces.push(piece);
    }
    const [only, another] = pieces;
    return only !== undefined && another === undefined ? only : Buffer.concat(pieces);
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    const { value } = next;
    this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return true;
  }
}
