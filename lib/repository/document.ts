import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { SignatureVerifier, Signer } from '../encryption/object-encryption.ts';
import { openDocument, signDocument } from '../encryption/signed-document.ts';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** A kind of document: its DSSE payload type and what its JSON must look like. */
export interface DocumentKind<Schema extends z.ZodType> {
  readonly payloadType: string;
  readonly schema: Schema;
}

/** The newest format that this program reads and the one that it writes. See docs/format.md, "Versions". */
export const FORMAT_VERSION = 1 as const;

/** Larger documents are neither written nor read. */
export const MAX_DOCUMENT_BYTES = 1 << 20;

export interface OpenedDocument<Schema extends z.ZodType> {
  readonly value: z.output<Schema>;
  /** Of the bytes as stored, lower-case hex. */
  readonly sha256: string;
}

/**
 * The bytes of a document (docs/format.md, "Documents"): a DSSE envelope around compact JSON, signed if there is a
 * signer, ending with a SHA-256 of itself, so that damage is told from forgery, also where nothing is signed. Rejects
 * with `repository.document-value` what the schema can't hold, e.g. an overlong text, and with
 * `repository.document-size`.
 */
export function encodeDocument<Schema extends z.ZodType>(
  kind: DocumentKind<Schema>,
  value: z.output<Schema>,
  signer: Signer | undefined,
): Buffer {
  const encoded = z.safeEncode(kind.schema, value);
  if (!encoded.success) {
    throw new GuardianError(
      'repository.document-value',
      `a document (${kind.payloadType}) can't hold what is to be written: ${oneLine(encoded.error)}`,
      { hint: 'Shorten or correct what is named here, e.g. a label.', cause: encoded.error },
    );
  }
  const payload = Buffer.from(JSON.stringify(encoded.data));
  const envelope = signDocument(kind.payloadType, payload, signer);
  const head = envelope.subarray(0, envelope.length - 1);
  const document = Buffer.concat([head, Buffer.from(tailFor(head))]);
  if (document.length <= MAX_DOCUMENT_BYTES) return document;
  throw new GuardianError(
    'repository.document-size',
    `a document of ${document.length} bytes is larger than the ${MAX_DOCUMENT_BYTES} that one may have`,
  );
}

/**
 * What `encodeDocument` made. Rejects, naming `name`, with `repository.damaged` (changed bytes, or not what the schema
 * asks for, by path), `repository.format` (written by a newer program), or an error of `openDocument`.
 */
export function decodeDocument<Schema extends z.ZodType>(
  kind: DocumentKind<Schema>,
  document: Buffer,
  name: string,
  verifier: SignatureVerifier | undefined,
): OpenedDocument<Schema> {
  checkTail(document, name);
  const json = parseJson(openNamed(document, kind.payloadType, name, verifier), name);
  const { success, data } = z.object({ formatVersion: z.int() }).safeParse(json);
  if (success && data.formatVersion > FORMAT_VERSION) throw newerFormat(name, data.formatVersion);
  // What comes from outside is `unknown` until the schema has seen it.
  const decoded = z.safeDecode(kind.schema, json as z.input<Schema>);
  if (!decoded.success) throw damagedDocument(name, oneLine(decoded.error));
  return { value: decoded.data, sha256: createHash('sha256').update(document).digest('hex') };
}

/** Reads and decodes; also rejects with an `ObjectStore`'s errors. */
export async function readDocument<Schema extends z.ZodType>(
  store: ObjectStore,
  kind: DocumentKind<Schema>,
  name: string,
  verifier: SignatureVerifier | undefined,
  signal: AbortSignal | undefined,
): Promise<OpenedDocument<Schema>> {
  return decodeDocument(kind, await readSmallObject(store, name, signal), name, verifier);
}

/** All bytes of an object that can't be larger than a document. */
export async function readSmallObject(
  store: ObjectStore,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of store.get(name, { signal })) {
    size += chunk.length;
    if (size > MAX_DOCUMENT_BYTES)
      throw damagedDocument(name, `it has more than ${MAX_DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function damagedDocument(name: string, reason: string, cause?: unknown): GuardianError {
  return new GuardianError('repository.damaged', `${name} is damaged: ${reason}`, {
    hint: 'Use another backup, or another copy of this object.',
    cause,
  });
}

export function newerFormat(name: string, version: number): GuardianError {
  return new GuardianError(
    'repository.format',
    `${name} has format version ${version}; this program reads versions up to ${FORMAT_VERSION}`,
    { hint: 'Use the version of etcdguardian that wrote it, or a newer one.' },
  );
}

function oneLine(error: z.ZodError): string {
  return z.prettifyError(error).replaceAll(/\s*\n\s*/g, ' ');
}

function tailFor(head: Buffer): string {
  return `,"sha256":"${createHash('sha256').update(head).digest('hex')}"}`;
}

const TAIL_SIZE = tailFor(Buffer.alloc(0)).length;

function checkTail(document: Buffer, name: string): void {
  const head = document.subarray(0, Math.max(0, document.length - TAIL_SIZE));
  if (document.subarray(head.length).toString('latin1') === tailFor(head)) return;
  throw damagedDocument(name, 'its bytes are not those that its own SHA-256 tells');
}

function openNamed(
  document: Buffer,
  payloadType: string,
  name: string,
  verifier: SignatureVerifier | undefined,
): Buffer {
  try {
    return openDocument(document, payloadType, verifier);
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    const details = error.hint === undefined ? { cause: error } : { hint: error.hint, cause: error };
    throw new GuardianError(error.code, `${name}: ${error.message}`, details);
  }
}

function parseJson(payload: Buffer, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (error) {
    throw damagedDocument(name, `its payload is not JSON: ${reasonOf(error)}`, error);
  }
}
