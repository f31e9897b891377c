import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import * as der from './der.ts';
import { publicKeyInfo, requireCurve } from './key-pair.ts';
import { distinguishedName, isOurSignatureAlgorithm, signed } from './sign-certificate.ts';

const LABEL = 'CERTIFICATE REQUEST';
const LARGEST_BYTES = 8 * 1024;

/**
 * A PKCS #10 request (RFC 2986) to certify this key's public half. It asks for no name: who it is for is decided by
 * whoever signs, from what they know of the sender.
 */
export function createCertificateRequest(key: KeyObject): string {
  const body = der.sequence(
    der.integer(0),
    distinguishedName('certificate request'),
    der.embedded(publicKeyInfo(key)),
    der.tagged(0),
  );
  const lines =
    der
      .encode(signed(body, key))
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${LABEL}-----`, ...lines, `-----END ${LABEL}-----`, ''].join('\n');
}

/**
 * The public key of a request from anyone, whose sender has shown to hold its private key. All that the request claims
 * besides is ignored. Throws `pki.request` for what isn't such a request, `pki.key` for another kind of key.
 */
export function requestedKey(pem: string): KeyObject {
  const [body, algorithm, signature, ...rest] = der.partsOf(decodePem(pem)) ?? [];
  const [version, subject, keyInfo] = der.partsOf(body) ?? [];
  const signatureBytes = der.bytesOfBits(signature);
  if (version === undefined || subject === undefined || keyInfo === undefined || rest.length > 0)
    throw refused('it is no certificate request');
  if (body === undefined || signatureBytes === undefined || !isOurSignatureAlgorithm(algorithm))
    throw refused('it is not signed with ECDSA and SHA-256');
  const key = parseKey(keyInfo);
  requireCurve(key, 'the certificate request');
  // DER has one encoding for each value: what was signed is what `encode` gives.
  if (!verify('sha256', der.encode(body), key, signatureBytes))
    throw refused('its sender does not hold the private key that belongs to it');
  return key;
}

function decodePem(pem: string): der.Der {
  if (pem.length > LARGEST_BYTES) throw refused(`it is longer than ${LARGEST_BYTES} bytes`);
  const pattern = new RegExp(`^\\s*-----BEGIN ${LABEL}-----([A-Za-z0-9+/=\\s]+)-----END ${LABEL}-----\\s*$`);
  const base64 = pattern.exec(pem)?.[1];
  if (base64 === undefined) throw refused('it is not PEM of a certificate request');
  try {
    return der.decode(Buffer.from(base64, 'base64'));
  } catch (error) {
    throw refused(reasonOf(error), error);
  }
}

function parseKey(keyInfo: der.Der): KeyObject {
  try {
    return createPublicKey({ key: der.encode(keyInfo), format: 'der', type: 'spki' });
  } catch (error) {
    throw refused('it holds no public key', error);
  }
}

function refused(why: string, cause?: unknown): GuardianError {
  return new GuardianError('pki.request', `the certificate request is refused: ${why}`, {
    hint: 'Send one that this program made: PKCS #10 in PEM, for an EC P-256 key.',
    cause,
  });
}
