import { hash, randomUUID } from 'node:crypto';
import type { CompletedPart, S3 } from '@aws-sdk/client-s3';
import { crc32 } from '@node-rs/crc32';
import type { Clock } from '../clock.ts';
import { GuardianError, hasCode } from '../guardian-error.ts';
import type { UploadTarget } from './multipart-upload.ts';
import type { StoredObject } from './object-store.ts';
import type { S3Connection, SendOptions } from './s3-client.ts';
import type { S3Settings } from './s3-settings.ts';

const COMPLETE_TIMEOUT_MS = 15 * 60_000;
const ABANDON_TIMEOUT_MS = 30_000;
/** Smaller ones are sent before a refusal arrives. */
const LARGE_BODY_BYTES = 1 << 16;
const REFUSALS: ReadonlySet<string> = new Set(['store.denied', 'store.missing', 'store.settings']);
/** Object metadata that tells an object of ours from one of another writer when a reply was lost. */
const WRITER = 'etcdguardian-writer';

/** What is written: where, under which name, kept until when. */
export interface S3Object {
  readonly name: string;
  readonly key: string;
  readonly what: string;
  readonly retainUntil: Date | undefined;
}

/**
 * One object being written to S3, never over another: `If-None-Match: *` goes with the request that makes it visible.
 * That request may be repeated: when the name is found taken then, the object's metadata tells whether it was us.
 */
export class S3Upload implements UploadTarget<CompletedPart> {
  readonly what: string;
  readonly #connection: S3Connection;
  readonly #settings: S3Settings;
  readonly #object: S3Object;
  readonly #clock: Clock;
  readonly #writer = randomUUID();
  #size = 0;

  constructor(connection: S3Connection, settings: S3Settings, object: S3Object, clock: Clock) {
    this.what = object.what;
    this.#connection = connection;
    this.#settings = settings;
    this.#object = object;
    this.#clock = clock;
  }

  async putWhole(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<StoredObject> {
    this.#size = bytes.length;
    return this.#makeVisible(signal, async () => {
      const { ETag } = await this.#send(this.what, bytes, signal, (s3, body, options) =>
        s3.putObject({ ...this.#attributes(), ...this.#key(), ...body, IfNoneMatch: '*' }, options),
      );
      return ETag;
    });
  }

  async begin(signal: AbortSignal): Promise<string> {
    const { UploadId } = await this.#connection.call(
      this.what,
      (s3, options) =>
        s3.createMultipartUpload(
          {
            ...this.#attributes(),
            ...this.#key(),
            ...(this.#usesCrc() ? { ChecksumAlgorithm: 'CRC32' } : {}),
          },
          options,
        ),
      { signal },
    );
    if (UploadId === undefined) throw this.#nonsense('no id for the upload');
    return UploadId;
  }

  async putPart(
    upload: string,
    number: number,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<CompletedPart> {
    const { ETag, ChecksumCRC32 } = await this.#send(
      `${this.what}, part ${number}`,
      bytes,
      signal,
      (s3, body, options) =>
        s3.uploadPart({ ...this.#key(), UploadId: upload, PartNumber: number, ...body }, options),
    );
    if (ETag === undefined) throw this.#nonsense(`no ETag for part ${number}`);
    this.#size += bytes.length;
    // A server that doesn't know the checksum must not be told it at the end either.
    return { PartNumber: number, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
  }

  async complete(
    upload: string,
    parts: readonly CompletedPart[],
    signal: AbortSignal,
  ): Promise<StoredObject> {
    return this.#makeVisible(signal, async () => {
      const { ETag } = await this.#connection.call(
        this.what,
        (s3, options) =>
          s3.completeMultipartUpload(
            { ...this.#key(), UploadId: upload, MultipartUpload: { Parts: [...parts] }, IfNoneMatch: '*' },
            options,
          ),
        { signal, patienceMs: this.#settings.completeTimeoutMs ?? COMPLETE_TIMEOUT_MS },
      );
      return ETag;
    });
  }

  async abandon(upload: string): Promise<void> {
    await this.#connection.call(
      this.what,
      (s3, options) => s3.abortMultipartUpload({ ...this.#key(), UploadId: upload }, options),
      { signal: AbortSignal.timeout(ABANDON_TIMEOUT_MS) },
    );
  }

  /**
   * A server that refuses a large body closes the connection while it is still being sent, and its answer is lost:
   * with a small request it says why.
   */
  async #send<T>(
    what: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
    send: (s3: S3, body: CheckedBody, options: SendOptions) => Promise<T>,
  ): Promise<T> {
    const body = this.#usesCrc()
      ? { Body: bytes, ChecksumCRC32: checksum(bytes) }
      : { Body: bytes, ContentMD5: hash('md5', bytes, 'base64') };
    try {
      return await this.#connection.call(what, (s3, options) => send(s3, body, options), { signal });
    } catch (error) {
      if (bytes.length < LARGE_BODY_BYTES || !hasCode(error, 'store.unreachable')) throw error;
      throw (await this.#refusal(what, signal)) ?? error;
    }
  }

  /** Why the bucket is closed to us; nothing if it isn't, or if we merely may not ask. */
  async #refusal(what: string, signal: AbortSignal | undefined): Promise<GuardianError | undefined> {
    const { Bucket, Key } = this.#key();
    try {
      await this.#connection.call(
        what,
        (s3, options) => s3.listObjectsV2({ Bucket, Prefix: Key, MaxKeys: 1 }, options),
        {
          signal,
        },
      );
      return undefined;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GuardianError) || !REFUSALS.has(error.code)) return undefined;
      return error.cause instanceof Error && error.cause.name === 'AccessDenied' ? undefined : error;
    }
  }

  /** Runs the request that makes the object visible; one refused because an earlier try of it arrived has succeeded. */
  async #makeVisible(
    signal: AbortSignal | undefined,
    request: () => Promise<string | undefined>,
  ): Promise<StoredObject> {
    try {
      const version = await request();
      if (version === undefined) throw this.#nonsense('no ETag');
      return { name: this.#object.name, size: this.#size, modifiedAt: this.#clock(), version };
    } catch (error) {
      if (hasCode(error, 'store.exists') || hasCode(error, 'store.upload-lost')) {
        const own = await this.#findOwn(signal);
        if (own !== undefined) return own;
      }
      throw error;
    }
  }

  async #findOwn(signal: AbortSignal | undefined): Promise<StoredObject | undefined> {
    try {
      const { Metadata, ContentLength, LastModified, ETag } = await this.#connection.call(
        this.what,
        (s3, options) => s3.headObject(this.#key(), options),
        { signal },
      );
      if (Metadata?.[WRITER] !== this.#writer || ContentLength !== this.#size || ETag === undefined)
        return undefined;
      return {
        name: this.#object.name,
        size: this.#size,
        modifiedAt: LastModified ?? this.#clock(),
        version: ETag,
      };
    } catch (error) {
      if (hasCode(error, 'store.not-found') || hasCode(error, 'store.denied')) return undefined;
      throw error;
    }
  }

  #usesCrc(): boolean {
    return this.#settings.checksum !== 'md5';
  }

  #key(): { Bucket: string; Key: string } {
    return { Bucket: this.#settings.bucket, Key: this.#object.key };
  }

  #attributes(): S3Attributes {
    const common = { Metadata: { [WRITER]: this.#writer }, ContentType: 'application/octet-stream' };
    if (this.#object.retainUntil === undefined) return common;
    return {
      ...common,
      ObjectLockMode: this.#settings.objectLock ?? 'GOVERNANCE',
      ObjectLockRetainUntilDate: this.#object.retainUntil,
    };
  }

  #nonsense(missing: string): GuardianError {
    return new GuardianError('store.unsupported', `${this.what}: the server answered with ${missing}`, {
      hint: 'What answers there may not be an S3 server: check the endpoint.',
    });
  }
}

/** With what the server compares it. */
type CheckedBody = { Body: Uint8Array } & ({ ChecksumCRC32: string } | { ContentMD5: string });

interface S3Attributes {
  Metadata: Record<string, string>;
  ContentType: string;
  ObjectLockMode?: 'GOVERNANCE' | 'COMPLIANCE';
  ObjectLockRetainUntilDate?: Date;
}

/** As S3 wants it: the CRC-32's four bytes, big-endian, in base64. */
function checksum(bytes: Uint8Array): string {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes) >>> 0);
  return crc.toString('base64');
}
