import { createHash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import * as der from './der.ts';
import { publicKeyInfo } from './key-pair.ts';

/** What a certificate says; everything else is the same in all of ours. */
export interface CertificateContent {
  /** Common names, for people; identities are in the extensions. */
  readonly subject: string;
  readonly issuer: string;
  /** Whole seconds count. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Extension[];
}

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: der.Der;
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
const ORGANIZATION = '2.5.4.10';

/** An X.509 v3 certificate (RFC 5280), signed with ECDSA and SHA-256, with a random serial number of 126 bits. */
export function signCertificate(content: CertificateContent, issuerKey: KeyObject): X509Certificate {
  const extensions = [
    ...content.extensions,
    { oid: '2.5.29.14', critical: false, value: der.octets(keyIdentifier(content.publicKey)) },
    {
      oid: '2.5.29.35',
      critical: false,
      value: der.sequence(der.taggedBytes(0, keyIdentifier(issuerKey))),
    },
  ];
  const toBeSigned = der.sequence(
    der.tagged(0, der.integer(2)),
    der.bigInteger(serialNumber()),
    signatureAlgorithm(),
    distinguishedName(content.issuer),
    der.sequence(der.time(content.notBefore), der.time(content.notAfter)),
    distinguishedName(content.subject),
    der.embedded(publicKeyInfo(content.publicKey)),
    der.tagged(3, der.sequence(...extensions.map(encodeExtension))),
  );
  return new X509Certificate(der.encode(signed(toBeSigned, issuerKey)));
}

/** `body` with its signature, as certificates and requests for them both have it. */
export function signed(body: der.Der, key: KeyObject): der.Der {
  return der.sequence(body, signatureAlgorithm(), der.bits(sign('sha256', der.encode(body), key)));
}

/** True for the algorithm that `signed` uses. */
export function isOurSignatureAlgorithm(algorithm: der.Der | undefined): boolean {
  const parts = der.partsOf(algorithm);
  return parts?.length === 1 && der.oidOf(parts[0]) === ECDSA_WITH_SHA256;
}

export function distinguishedName(commonName: string): der.Der {
  const attribute = (type: string, value: string): der.Der =>
    der.set(der.sequence(der.oid(type), der.utf8(value)));
  return der.sequence(attribute(ORGANIZATION, 'EtcdGuardian'), attribute(COMMON_NAME, commonName));
}

/** RFC 7093, 2, method 4, cut to 160 bits: the same for a key's private and public half. */
export function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha256').update(publicKeyInfo(key)).digest().subarray(0, 20);
}

function signatureAlgorithm(): der.Der {
  return der.sequence(der.oid(ECDSA_WITH_SHA256));
}

function encodeExtension({ oid, critical, value }: Extension): der.Der {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octets(der.encode(value)));
}

/** Positive, with no leading zero byte, and never the same twice: TLS stacks remember (issuer, serial). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes;
}
