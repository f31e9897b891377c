import { Buffer } from 'node:buffer';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type { StoredObject } from '../storage/object-store.ts';
import type { StoredSegment } from './chain.ts';
import { checkSegmentHead } from './check-segment-head.ts';
import { damagedDocument, decodeDocument, MAX_DOCUMENT_BYTES } from './document.ts';
import { segmentName } from './layout.ts';
import { misplaced } from './misplaced.ts';
import type { RepositorySettings } from './repository.ts';
import { type SegmentHead, segmentHeadDocument } from './segment-head.ts';

/** What stands before a segment's body: magic, length, head document. */
export function segmentFront(head: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return Buffer.concat([MAGIC, length, head]);
}

/**
 * Decodes the head of the segment `name`, which is `size` bytes long; `front` may go on behind the head. Throws what
 * `decodeDocument` throws, `repository.damaged` and `repository.misplaced`.
 */
export function decodeSegment(
  { verifier }: Pick<RepositorySettings, 'verifier'>,
  { name, size }: Pick<StoredObject, 'name' | 'size'>,
  front: Buffer,
): StoredSegment {
  const end = PREFIX_SIZE + headLength(front, name);
  const document = front.subarray(PREFIX_SIZE, end);
  const { value: head, sha256 } = decodeDocument(segmentHeadDocument, document, name, verifier);
  const itself = nameOf(head);
  if (itself !== name) throw misplaced(name, itself);
  checkSegmentHead(head, name);
  if (end + head.storedSize !== size) {
    throw damagedDocument(name, `it has ${size} bytes, not the ${end + head.storedSize} that its head says`);
  }
  return { name, size, sha256, head };
}

/** Reads the head of a segment as listed, with one or two ranged reads. Rejects with what can be wrong with it. */
export async function readSegmentHead(
  settings: RepositorySettings,
  object: Pick<StoredObject, 'name' | 'size'>,
  signal: AbortSignal | undefined,
): Promise<StoredSegment> {
  const { name, size } = object;
  if (size < PREFIX_SIZE) throw damagedDocument(name, `it has only ${size} bytes`);
  let front = await readRange(settings, name, 0, Math.min(size, FIRST_READ), signal);
  const end = PREFIX_SIZE + headLength(front, name);
  if (end > size) throw damagedDocument(name, `it ends after ${size} bytes, within its head`);
  if (end > front.length) {
    const rest = await readRange(settings, name, front.length, end - front.length, signal);
    front = Buffer.concat([front, rest]);
  }
  return decodeSegment(settings, object, front);
}

const MAGIC = Buffer.from('EGSEG1\n');
const PREFIX_SIZE = MAGIC.length + 4;
/** Holds most heads; a first one with a large table of leases is read with a second read. */
const FIRST_READ = 16 << 10;

function headLength(front: Buffer, name: string): number {
  if (front.length < PREFIX_SIZE || !front.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damagedDocument(name, "it doesn't begin as a segment");
  }
  const length = front.readUInt32LE(MAGIC.length);
  if (length <= MAX_DOCUMENT_BYTES) return length;
  throw damagedDocument(
    name,
    `its head would have ${length} bytes, more than the ${MAX_DOCUMENT_BYTES} it may`,
  );
}

function nameOf({ cluster, timeline, chain, from, base = from }: SegmentHead): string {
  return segmentName({ cluster, timeline, id: chain }, base);
}

async function readRange(
  { store }: RepositorySettings,
  name: string,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of store.get(name, { range: { offset, length }, signal })) chunks.push(chunk);
  } catch (error) {
    throw asSegmentProblem(error, name);
  }
  return Buffer.concat(chunks);
}

/** A segment that vanished or became shorter since it was listed. */
export function asSegmentProblem(error: unknown, name: string): unknown {
  if (hasCode(error, 'store.range')) return damagedDocument(name, 'it is shorter than it was', error);
  if (!hasCode(error, 'store.not-found')) return error;
  return new GuardianError('repository.missing', `${name} is gone`, {
    hint: 'Someone or something deleted it; a versioned bucket may still hold it.',
    cause: error,
  });
}
