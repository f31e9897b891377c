import { partSize, PartBuffers } from './part-buffers.ts';
import type { StoredObject } from './object-store.ts';
import { type RetryPolicy, withRetries } from './retry-policy.ts';
import { untilAborted } from './until-aborted.ts';

/** One object that is being written, at a store which takes it whole or in numbered parts. */
export interface UploadTarget<Part> {
  /** What is written, for messages: `writing object a/b in s3://bucket`. */
  readonly what: string;
  /** Writes an object that fits into one part. */
  putWhole(bytes: Uint8Array, signal: AbortSignal): Promise<StoredObject>;
  /** Begins an upload in parts and resolves to its id. */
  begin(signal: AbortSignal): Promise<string>;
  putPart(upload: string, number: number, bytes: Uint8Array, signal: AbortSignal): Promise<Part>;
  /** Makes the object of its parts, in order of their numbers, visible. */
  complete(upload: string, parts: readonly Part[], signal: AbortSignal): Promise<StoredObject>;
  /** Removes the parts of an upload that will not be completed. Its rejection is ignored: a sweep does it then. */
  abandon(upload: string): Promise<void>;
}

export interface UploadSettings {
  readonly firstPartBytes: number;
  /** Parts sent at the same time. */
  readonly concurrency: number;
  /** How each call to the target is repeated; the body can't be, its parts can. */
  readonly retries: RetryPolicy;
}

interface FilledPart {
  readonly number: number;
  readonly buffer: Buffer;
  readonly length: number;
  readonly last: boolean;
}

/**
 * Streams `body` to `target`, whatever its length, in bounded memory: see `partSize` and `PartBuffers`. On any failure
 * the body is closed, what is under way is stopped, the upload abandoned, and the first error rethrown.
 */
export async function uploadInParts<Part>(
  target: UploadTarget<Part>,
  body: AsyncIterable<Uint8Array>,
  settings: UploadSettings,
  outer: AbortSignal | undefined,
): Promise<StoredObject> {
  const failed = new AbortController();
  const signal = outer === undefined ? failed.signal : AbortSignal.any([outer, failed.signal]);
  const call = <T>(operation: () => Promise<T>): Promise<T> =>
    withRetries(settings.retries, target.what, operation, signal);

  const buffers = new PartBuffers(settings.concurrency);
  const parts: Part[] = [];
  const underWay = new Set<Promise<void>>();
  let upload: string | undefined;

  const send = async (to: string, { number, buffer, length }: FilledPart): Promise<void> => {
    try {
      parts[number - 1] = await call(() => target.putPart(to, number, buffer.subarray(0, length), signal));
      buffers.giveBack(buffer);
    } catch (error) {
      failed.abort(error);
    }
  };

  try {
    const filled = fillParts(untilAborted(body, signal), buffers, settings.firstPartBytes, signal);
    for await (const part of filled) {
      if (part.number === 1 && part.last) {
        const whole = part.buffer.subarray(0, part.length);
        return await call(() => target.putWhole(whole, signal));
      }
      const to = (upload ??= await call(() => target.begin(signal)));
      const sending = send(to, part).finally(() => underWay.delete(sending));
      underWay.add(sending);
    }
    await Promise.all(underWay);
    signal.throwIfAborted();
    const to = upload ?? '';
    return await call(() => target.complete(to, parts, signal));
  } catch (error) {
    // Parts that arrive after the upload was abandoned would stay, so what is under way ends first.
    failed.abort(error);
    await Promise.all(underWay);
    if (upload !== undefined) await target.abandon(upload).catch(() => undefined);
    throw error;
  }
}

/** Cuts `body` into parts in buffers of the pool; the last one is known as such, and may be empty only if it is all. */
async function* fillParts(
  body: AsyncIterable<Uint8Array>,
  buffers: PartBuffers,
  firstPartBytes: number,
  signal: AbortSignal,
): AsyncGenerator<FilledPart, void> {
  let number = 1;
  let length = 0;
  let buffer = await buffers.take(partSize(number, firstPartBytes), signal);
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length;) {
      if (length === buffer.length) {
        yield { number, buffer, length, last: false };
        number += 1;
        length = 0;
        buffer = await buffers.take(partSize(number, firstPartBytes), signal);
      }
      const taken = Math.min(chunk.length - at, buffer.length - length);
      buffer.set(chunk.subarray(at, at + taken), length);
      length += taken;
      at += taken;
    }
  }
  yield { number, buffer, length, last: true };
}
