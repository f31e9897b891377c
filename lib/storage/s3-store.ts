import { Readable } from 'node:stream';
import type {
  GetObjectCommandOutput,
  ListObjectsV2CommandInput,
  ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { type Clock, systemClock } from '../clock.ts';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { checkRange } from './byte-range.ts';
import { uploadInParts, type UploadSettings } from './multipart-upload.ts';
import { checkListPrefix, checkObjectName, isObjectName } from './object-name.ts';
import type {
  ByteRange,
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from './object-store.ts';
import { FIRST_PART_BYTES } from './part-buffers.ts';
import { partRetries, type RetryPolicy } from './retry-policy.ts';
import { S3Connection } from './s3-client.ts';
import { s3Error } from './s3-errors.ts';
import type { S3Settings } from './s3-settings.ts';
import { sweepS3Uploads } from './s3-sweep.ts';
import { S3Upload } from './s3-upload.ts';

const CONCURRENCY = 3;

/**
 * A store in an S3 bucket. Repeats what makes up a streamed put, which nobody else could; everything else fails on the
 * first error, see `RetryingStore`. `modifiedAt` of what was just put is this machine's time; `version` is the ETag.
 */
export class S3Store implements ObjectStore {
  readonly location: string;
  readonly #settings: S3Settings;
  readonly #connection: S3Connection;
  readonly #upload: UploadSettings;
  readonly #clock: Clock;

  constructor(
    settings: S3Settings,
    options: { readonly clock?: Clock; readonly retries?: RetryPolicy } = {},
  ) {
    this.#settings = settings;
    this.#clock = options.clock ?? systemClock;
    this.#connection = new S3Connection(settings, this.#clock);
    this.location = `s3://${[settings.bucket, settings.prefix].filter((part) => part !== '').join('/')}`;
    this.#upload = {
      firstPartBytes: settings.firstPartBytes ?? FIRST_PART_BYTES,
      concurrency: settings.uploadConcurrency ?? CONCURRENCY,
      retries: options.retries ?? partRetries,
    };
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<StoredObject> {
    options.signal?.throwIfAborted();
    return uploadInParts(this.#uploadOf(name, options), body, this.#upload, options.signal);
  }

  async putIfAbsent(name: string, body: Uint8Array, options: PutOptions = {}): Promise<StoredObject> {
    return this.#uploadOf(name, options).putWhole(body, options.signal);
  }

  async *get(name: string, options: GetOptions = {}): AsyncGenerator<Uint8Array, void> {
    const { signal, range, version, onOpen } = options;
    checkObjectName(name);
    const what = `reading ${this.#object(name)}`;
    const header = rangeHeader(range);
    if (header === 'nothing') {
      const object = await this.stat(name, { signal });
      if (version !== undefined && version !== object.version) throw changed(what);
      checkRange(range, object, this.location);
      onOpen?.(object);
      return;
    }
    const answer = await this.#open(name, what, header, version, signal).catch(async (error: unknown) => {
      if (!isUnsatisfiable(error)) throw error;
      const object = await this.stat(name, { signal });
      checkRange(range, object, this.location);
      onOpen?.(object);
      return undefined;
    });
    if (answer === undefined) return;
    const { body, object } = answer;
    let left: number;
    try {
      const { from, to } = checkRange(range, object, this.location);
      left = to - from;
      onOpen?.(object);
      for await (const chunk of watched(body, this.#connection.idleTimeoutMs)) {
        left -= chunk.length;
        yield chunk;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw s3Error(error, what, this.#connection.telling);
    } finally {
      body.destroy();
    }
    if (left !== 0) throw cutShort(what, left);
  }

  async stat(name: string, options: StoreCallOptions = {}): Promise<StoredObject> {
    checkObjectName(name);
    const what = `asking for ${this.#object(name)}`;
    const answer = await this.#connection.call(
      what,
      (s3, sending) => s3.headObject({ Bucket: this.#settings.bucket, Key: this.#key(name) }, sending),
      options,
    );
    return toStoredObject(name, answer.ContentLength, answer, what);
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<StoredObject, void> {
    checkListPrefix(prefix);
    const what = `listing ${prefix === '' ? 'everything' : prefix} in ${this.location}`;
    const start = this.#key('');
    const first = options.after === undefined ? {} : { StartAfter: this.#key(options.after) };
    let last = '';
    for (let page: { ContinuationToken?: string } | undefined = {}; page !== undefined;) {
      const from: { ContinuationToken?: string } = page;
      const answer = await this.#listPage({ Prefix: this.#key(prefix), ...first, ...from }, what, options);
      // Some page of HTML would pass for an empty list.
      if (answer.IsTruncated === undefined) throw notS3(`${what}: the server gave no list`);
      for (const found of answer.Contents ?? []) {
        const name = found.Key?.slice(start.length) ?? '';
        if (!isObjectName(name)) continue;
        if (name <= last) throw unsorted(what, last, name);
        last = name;
        yield toStoredObject(name, found.Size, found, what);
      }
      const token = answer.NextContinuationToken;
      page = answer.IsTruncated && token !== undefined ? { ContinuationToken: token } : undefined;
    }
  }

  async delete(name: string, options: StoreCallOptions = {}): Promise<void> {
    checkObjectName(name);
    try {
      await this.#connection.call(
        `deleting ${this.#object(name)}`,
        (s3, sending) => s3.deleteObject({ Bucket: this.#settings.bucket, Key: this.#key(name) }, sending),
        options,
      );
    } catch (error) {
      if (!hasCode(error, 'store.not-found')) throw error;
    }
  }

  async sweepStaleUploads(olderThan: Date, options: StoreCallOptions = {}): Promise<number> {
    return sweepS3Uploads(this.#connection, this.#settings.bucket, this.#key(''), olderThan, options.signal);
  }

  async #listPage(
    page: Partial<ListObjectsV2CommandInput>,
    what: string,
    options: ListOptions,
  ): Promise<ListObjectsV2CommandOutput> {
    try {
      return await this.#connection.call(
        what,
        (s3, sending) => s3.listObjectsV2({ Bucket: this.#settings.bucket, ...page }, sending),
        options,
      );
    } catch (error) {
      // A list is never "not found"; what answers so isn't S3, and must not pass for an empty store.
      throw hasCode(error, 'store.not-found') ? notS3(error.message, 'store.settings') : error;
    }
  }

  async #open(
    name: string,
    what: string,
    range: string | undefined,
    version: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ body: Readable; object: StoredObject }> {
    const input = { Bucket: this.#settings.bucket, Key: this.#key(name) };
    const only = range === undefined ? {} : { Range: range };
    const still = version === undefined ? {} : { IfMatch: version };
    try {
      const answer = await this.#connection.call(
        what,
        (s3, sending) => s3.getObject({ ...input, ...only, ...still }, sending),
        { signal, patienceMs: this.#connection.idleTimeoutMs },
      );
      if (!(answer.Body instanceof Readable)) throw new Error('the SDK gave no stream');
      return { body: answer.Body, object: toStoredObject(name, wholeSize(answer, range), answer, what) };
    } catch (error) {
      throw hasCode(error, 'store.exists') ? changed(what, error) : error;
    }
  }

  #uploadOf(name: string, options: PutOptions): S3Upload {
    checkObjectName(name);
    const what = `writing ${this.#object(name)}`;
    const object = { name, key: this.#key(name), what, retainUntil: options.retainUntil };
    return new S3Upload(this.#connection, this.#settings, object, this.#clock);
  }

  #key(name: string): string {
    return this.#settings.prefix === '' ? name : `${this.#settings.prefix}/${name}`;
  }

  #object(name: string): string {
    return `object ${name} in ${this.location}`;
  }
}

/** The header for `range`; `nothing` when no request could give what is (or isn't) asked for. */
function rangeHeader(range: ByteRange | undefined): string | undefined {
  if (range === undefined || (range.offset === 0 && range.length === undefined)) return undefined;
  const { offset, length } = range;
  const end = length === undefined ? '' : offset + length - 1;
  const sane =
    Number.isSafeInteger(offset) &&
    offset >= 0 &&
    (end === '' || (Number.isSafeInteger(end) && end >= offset));
  return sane ? `bytes=${offset}-${end}` : 'nothing';
}

/** The size of the whole object, also when a range of it was asked for. */
function wholeSize(answer: GetObjectCommandOutput, range: string | undefined): number | undefined {
  if (range === undefined) return answer.ContentLength;
  const whole = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
  return whole === undefined ? undefined : Number(whole);
}

function toStoredObject(
  name: string,
  size: number | undefined,
  { LastModified, ETag }: { LastModified?: Date | undefined; ETag?: string | undefined },
  what: string,
): StoredObject {
  if (size === undefined || LastModified === undefined || ETag === undefined) {
    throw notS3(`${what}: the server tells no size, time, ETag or range`);
  }
  return { name, size, modifiedAt: LastModified, version: ETag };
}

/** Gives up when the store is silent for too long while we wait; a slow reader of ours doesn't count. */
async function* watched(body: Readable, idleTimeoutMs: number): AsyncGenerator<Buffer, void> {
  const giveUp = (): void => {
    body.destroy(
      Object.assign(new Error(`nothing came for ${idleTimeoutMs / 1000} s`), { code: 'ETIMEDOUT' }),
    );
  };
  let timer = setTimeout(giveUp, idleTimeoutMs);
  try {
    for await (const chunk of body) {
      clearTimeout(timer);
      if (chunk instanceof Buffer) yield chunk;
      timer = setTimeout(giveUp, idleTimeoutMs);
    }
  } finally {
    clearTimeout(timer);
  }
}

function notS3(message: string, code = 'store.unsupported'): GuardianError {
  return new GuardianError(code, message, {
    hint: 'What answers there may not be an S3 server: check the endpoint.',
  });
}

function isUnsatisfiable(error: unknown): boolean {
  return (
    error instanceof GuardianError && error.cause instanceof Error && error.cause.name === 'InvalidRange'
  );
}

function changed(what: string, cause?: unknown): GuardianError {
  return new GuardianError('store.changed', `${what}: it was replaced since it was first seen`, { cause });
}

function cutShort(what: string, missing: number): GuardianError {
  return new GuardianError('store.unreachable', `${what}: ${missing} bytes less came than announced`, {
    retryable: true,
  });
}

function unsorted(what: string, before: string, after: string): GuardianError {
  return new GuardianError('store.unsupported', `${what}: the server lists ${after} after ${before}`, {
    hint: 'Names must come in bytewise order; directory buckets (S3 Express) and some servers have none.',
  });
}
