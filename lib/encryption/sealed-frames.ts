import type { GetCipher, GetDecipher } from '@aws-crypto/material-management-node';
import { ContentAADString } from '@aws-crypto/serialize';
import { asBuffer, type ByteReader } from './byte-reader.ts';
import type { FrameKey } from './sealed-header.ts';
import { corrupt, truncated } from './sealed-object-errors.ts';

/**
 * The body of a sealed object: frames, each with a GCM tag over its content, its number and whether it is the last.
 * The IV is the frame's number as 12 bytes. All frames but the last hold `frameLength` bytes; the last is shorter,
 * down to empty. Chunks of `plaintext` must not be changed once they were given.
 *
 * | frame   | head                                     | content       | tag |
 * |---------|------------------------------------------|---------------|-----|
 * | regular | u32 number, IV                           | `frameLength` | 16  |
 * | last    | u32 ffffffff, u32 number, IV, u32 length | length        | 16  |
 */
export async function* sealFrames(
  plaintext: AsyncIterable<Uint8Array>,
  key: FrameKey<GetCipher>,
): AsyncGenerator<Uint8Array> {
  const { messageId, frameLength } = key;
  let number = 1;
  let pieces: Uint8Array[] = [];
  let missing = frameLength;
  let tag: Uint8Array = Buffer.alloc(0);

  for await (const chunk of plaintext) {
    let rest = chunk;
    while (rest.length >= missing) {
      pieces.push(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      const cipher = key.cipher(frameIv(number)).setAAD(frameAad(messageId, number, frameLength, false));
      // The tag of the frame before goes out with the head of this one: fewer, larger chunks.
      yield Buffer.concat([tag, regularHead(number)]);
      for (const piece of pieces) yield cipher.update(asBuffer(piece));
      cipher.final();
      tag = cipher.getAuthTag();
      number++;
      pieces = [];
      missing = frameLength;
    }
    if (rest.length > 0) {
      pieces.push(rest);
      missing -= rest.length;
    }
  }

  const length = frameLength - missing;
  const cipher = key.cipher(frameIv(number)).setAAD(frameAad(messageId, number, length, true));
  yield Buffer.concat([tag, lastHead(number, length)]);
  for (const piece of pieces) yield cipher.update(asBuffer(piece));
  cipher.final();
  yield cipher.getAuthTag();
}

/**
 * The plaintext of all frames, that of each given only once its tag held. Rejects with `encryption.truncated` or
 * `encryption.corrupt`, the latter also for frames out of order and for bytes after the last frame.
 */
export async function* openFrames(
  reader: ByteReader,
  key: FrameKey<GetDecipher>,
  object: string,
): AsyncGenerator<Uint8Array> {
  let last = false;
  for (let number = 1; !last; number++) {
    const head = await readHead(reader, number, key.frameLength, object);
    last = head.last;
    const aad = frameAad(key.messageId, number, head.length, last);
    const decipher = key.cipher(frameIv(number)).setAAD(aad);

    const pieces: Uint8Array[] = [];
    for (let missing = head.length; missing > 0;) {
      const piece = await reader.takeSome(missing);
      if (piece.length === 0) throw truncated(object, `in frame ${number}, at byte ${reader.position}`);
      pieces.push(decipher.update(piece));
      missing -= piece.length;
    }
    decipher.setAuthTag(await takeWhole(reader, TAG_BYTES, number, object));
    try {
      decipher.final();
    } catch (error) {
      throw corrupt(
        object,
        `frame ${number}, which ends at byte ${reader.position}, fails authentication`,
        error,
      );
    }
    yield* pieces;
  }
  const beyond = await reader.takeSome(1);
  if (beyond.length > 0)
    throw corrupt(object, `it goes on after its last frame, at byte ${reader.position - 1}`);
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
const LAST_FRAME = 0xffffffff;

async function readHead(
  reader: ByteReader,
  number: number,
  frameLength: number,
  object: string,
): Promise<{ last: boolean; length: number }> {
  const begin = await takeWhole(reader, 4 + IV_BYTES, number, object);
  if (begin.equals(regularHead(number))) return { last: false, length: frameLength };
  if (begin.readUInt32BE(0) === LAST_FRAME) {
    const rest = await takeWhole(reader, 8, number, object);
    const length = rest.readUInt32BE(4);
    if (length <= frameLength && Buffer.concat([begin, rest]).equals(lastHead(number, length))) {
      return { last: true, length };
    }
  }
  throw corrupt(object, `what stands before byte ${reader.position} is not the head of frame ${number}`);
}

async function takeWhole(
  reader: ByteReader,
  length: number,
  number: number,
  object: string,
): Promise<Buffer> {
  const bytes = await reader.take(length);
  if (bytes.length < length) throw truncated(object, `at frame ${number}, byte ${reader.position}`);
  return bytes;
}

function regularHead(number: number): Buffer {
  return Buffer.concat([uint32(number), frameIv(number)]);
}

function lastHead(number: number, length: number): Buffer {
  return Buffer.concat([uint32(LAST_FRAME), uint32(number), frameIv(number), uint32(length)]);
}

function frameIv(number: number): Buffer {
  const iv = Buffer.alloc(IV_BYTES);
  iv.writeUInt32BE(number, IV_BYTES - 4);
  return iv;
}

/** message id, a text that tells the kind of frame, u32 number, u64 length of the content. */
function frameAad(messageId: Uint8Array, number: number, length: number, last: boolean): Buffer {
  const kind = last ? LAST_FRAME_TEXT : REGULAR_FRAME_TEXT;
  return Buffer.concat([messageId, kind, uint32(number), uint32(0), uint32(length)]);
}

const REGULAR_FRAME_TEXT = Buffer.from(ContentAADString.FRAME_STRING_ID);
const LAST_FRAME_TEXT = Buffer.from(ContentAADString.FINAL_FRAME_STRING_ID);

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
