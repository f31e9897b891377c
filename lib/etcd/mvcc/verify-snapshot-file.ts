import { Buffer } from 'node:buffer';
import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { diskError } from '../durable-file.ts';
import { type Slot, SlotThread } from '../slot-thread.ts';
import { judge, verdictOf } from './judge.ts';
import type { Reread } from './page-summaries.ts';
import { type DatabaseDigest, SnapshotDigest } from './snapshot-digest.ts';
import { SnapshotPass } from './snapshot-pass.ts';
import type { KeyGrouping, SnapshotVerdict, ValuePrefixes } from './snapshot-verdict.ts';

export interface VerifyFileOptions {
  /** A snapshot must end in its SHA-256; the file of a stopped member, `member/snap/db`, has none. */
  readonly trailer: 'required' | 'optional';
  readonly grouping?: KeyGrouping | undefined;
  readonly valuePrefixes?: ValuePrefixes | undefined;
  /** See SnapshotPassOptions; live pages beyond it are read once more. */
  readonly maxRecordBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

const SLOT_SIZE = 1 << 20;
const SLOTS = 6;
/** Reads under way beside the piece that is being verified. */
const READ_AHEAD = 3;
/** Below this size a second thread doesn't pay for its start. */
const SMALL = 16 << 20;

/**
 * Verifies a snapshot file, or the database file of a stopped member, in one pass from front to back; never writes.
 * Disk, hashing and verifying overlap: hashing has a thread of its own, as it takes about as long as the rest (2.5 GB:
 * 1.8 s of processor time each). Rejects with `disk.not-found`, `disk.denied` or `disk.failed` when the file can't be
 * read, and with the signal's reason; what is wrong with its content is in the verdict.
 */
export async function verifySnapshotFile(path: string, options: VerifyFileOptions): Promise<SnapshotVerdict> {
  const { trailer, grouping, valuePrefixes, maxRecordBytes, signal, onProgress } = options;
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const pass = new SnapshotPass({
        ...{ trailer, grouping, valuePrefixes, maxRecordBytes },
        expectedSize: size,
        reread: rereadFrom(file),
      });
      const onPiece = (bytes: Buffer, done: number): void => {
        signal?.throwIfAborted();
        pass.write(bytes);
        onProgress?.(done, size);
      };
      const digest =
        size < SMALL ? await readSmall(file, size, onPiece) : await readLarge(file, size, onPiece);
      return verdictOf(judge(pass.finish(digest), digest, grouping));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(error, `reading ${path}`);
  }
}

type OnPiece = (bytes: Buffer, done: number) => void;

async function readSmall(file: FileHandle, size: number, onPiece: OnPiece): Promise<DatabaseDigest> {
  const digest = new SnapshotDigest();
  const buffer = Buffer.allocUnsafe(SLOT_SIZE);
  for (let done = 0; done < size;) {
    const length = await fill(file, buffer, done);
    if (length === 0) break;
    done += length;
    digest.update(buffer.subarray(0, length));
    onPiece(buffer.subarray(0, length), done);
  }
  return digest.finish();
}

async function readLarge(file: FileHandle, size: number, onPiece: OnPiece): Promise<DatabaseDigest> {
  const script = new URL('./digest-worker.ts', import.meta.url);
  await using hasher = new SlotThread(script, undefined, { count: SLOTS, size: SLOT_SIZE });
  const ahead: Promise<FilledSlot>[] = [];
  try {
    for (let next = 0, done = 0; done < size;) {
      while (next < size && ahead.length <= READ_AHEAD) {
        ahead.push(quiet(fillSlot(hasher, file, next)));
        next += SLOT_SIZE;
      }
      const filled = await ahead.shift();
      if (filled === undefined || filled.length === 0) break;
      done += filled.length;
      // The slot is reused only after this turn, when the verifier is done with it too.
      hasher.send(filled.slot, filled.length);
      onPiece(filled.slot.bytes.subarray(0, filled.length), done);
      if (filled.length < SLOT_SIZE) break;
    }
  } finally {
    // Nothing may still be read when the file is closed.
    await Promise.allSettled(ahead);
  }
  return (await hasher.ask('digest')) as DatabaseDigest;
}

interface FilledSlot {
  readonly slot: Slot;
  /** Less than the slot's only at the end of the file. */
  readonly length: number;
}

async function fillSlot(hasher: SlotThread, file: FileHandle, position: number): Promise<FilledSlot> {
  const slot = await hasher.slot();
  return { slot, length: await fill(file, slot.bytes, position) };
}

/** Fills the buffer from `position` on as far as the file goes. */
async function fill(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

function rereadFrom(file: FileHandle): Reread {
  return (offset, length) => {
    const bytes = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const count = readSync(file.fd, bytes, filled, length - filled, offset + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  };
}

/** A promise whose failure nobody may come to wait for. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
