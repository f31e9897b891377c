import { z } from 'zod';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import type { SignatureVerifier, Signer } from './object-encryption.ts';

/**
 * Puts `payload` into a DSSE v1 envelope (secure-systems-lab/dsse, protocol.md), signed if there is a signer and
 * with an empty list of signatures if not. Compact JSON, fields in fixed order: the same input and key give the same
 * bytes, since Ed25519 is deterministic.
 */
export function signDocument(payloadType: string, payload: Uint8Array, signer: Signer | undefined): Buffer {
  const signatures = signer === undefined ? [] : [signatureBy(signer, payloadType, payload)];
  return Buffer.from(JSON.stringify({ payloadType, payload: base64(payload), signatures }));
}

/**
 * The payload of a DSSE envelope of this type.
 *
 * With a verifier, at least one signature by a trusted key must hold: rejects with `signature.missing` (unsigned),
 * `signature.untrusted` (signed by other keys only) or `signature.invalid` (a trusted key's signature over other
 * bytes). Without a verifier signatures are not looked at. `signature.malformed` if it is no envelope, or one of
 * another type.
 */
export function openDocument(
  document: Uint8Array,
  payloadType: string,
  verifier: SignatureVerifier | undefined,
): Buffer {
  const envelope = parseEnvelope(document);
  if (envelope.payloadType !== payloadType) {
    throw malformed(`it is of type ${JSON.stringify(envelope.payloadType)}, not ${payloadType}`);
  }
  if (verifier !== undefined) requireTrustedSignature(envelope, verifier);
  return envelope.payload;
}

/** The ids of the keys that signed an envelope, as it says itself; nothing is verified. */
export function signersOf(document: Uint8Array): readonly string[] {
  return parseEnvelope(document).signatures.map(({ keyid }) => keyid);
}

/** What is signed: DSSE's pre-authentication encoding, `DSSEv1 LEN(type) type LEN(payload) payload`. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

interface Envelope {
  readonly payloadType: string;
  readonly payload: Buffer;
  readonly signatures: readonly { readonly keyid: string; readonly sig: Buffer }[];
}

const MAX_SIGNATURES = 16;

// Only canonical base64, so that no two different documents mean the same.
const canonicalBase64 = z.string().transform((text, check) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) check.addIssue({ code: 'custom', message: 'not canonical base64' });
  return bytes;
});

const envelopeSchema = z.object({
  payloadType: z.string(),
  payload: canonicalBase64,
  signatures: z.array(z.object({ keyid: z.string().max(256), sig: canonicalBase64 })).max(MAX_SIGNATURES),
});

function parseEnvelope(document: Uint8Array): Envelope {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(document));
  } catch (error) {
    throw malformed(`it is not JSON: ${reasonOf(error)}`, error);
  }
  const parsed = envelopeSchema.safeParse(json);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error).replaceAll('\n', ' '));
  return parsed.data;
}

function requireTrustedSignature(envelope: Envelope, verifier: SignatureVerifier): void {
  const { payloadType, payload, signatures } = envelope;
  if (signatures.length === 0) {
    throw new GuardianError(
      'signature.missing',
      'the document is not signed, although a signing key is configured',
      {
        hint: 'It was written without keys, or replaced by someone who can write the store. Read it without a key only if you know why it is unsigned.',
      },
    );
  }
  const trusted = signatures.filter(({ keyid }) => verifier.keyIds.includes(keyid));
  if (trusted.length === 0) {
    throw new GuardianError(
      'signature.untrusted',
      `the document is signed by ${list(signatures.map(({ keyid }) => keyid))}; trusted are ${list(verifier.keyIds)}`,
      { hint: 'Give the key file (or the recovery file) that belongs to these backups.' },
    );
  }
  const message = preAuthenticationEncoding(payloadType, payload);
  if (!trusted.some(({ keyid, sig }) => verifier.verify(message, keyid, sig))) {
    throw new GuardianError(
      'signature.invalid',
      `the signature of ${list(trusted.map(({ keyid }) => keyid))} does not belong to these bytes`,
      {
        hint: 'The document was changed after it was signed, or damaged. Use another backup, or another copy of this one.',
      },
    );
  }
}

function signatureBy(
  signer: Signer,
  payloadType: string,
  payload: Uint8Array,
): { keyid: string; sig: string } {
  return { keyid: signer.keyId, sig: base64(signer.sign(preAuthenticationEncoding(payloadType, payload))) };
}

function malformed(reason: string, cause?: unknown): GuardianError {
  return new GuardianError('signature.malformed', `not a signed document we can read: ${reason}`, {
    hint: 'It is damaged, or was written by another program.',
    cause,
  });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function list(ids: readonly string[]): string {
  return ids.length === 0 ? 'none' : ids.map((id) => id.replaceAll(/[^\x21-\x7e]/g, '?')).join(', ');
}
