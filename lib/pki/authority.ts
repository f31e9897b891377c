import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import * as der from './der.ts';
import { type AuthorityScope, authorityUri, parseAuthorityUri } from './identity.ts';
import { createKey, parsePrivateKey } from './key-pair.ts';
import { keyIdentifier, signCertificate } from './sign-certificate.ts';
import { uriNames } from './subject-alternative-names.ts';

/** Who issues a cluster's certificates. */
export interface Authority {
  readonly scope: AuthorityScope;
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

export const AUTHORITY_LIFE_MS = 10 * 365 * 86_400_000;

/**
 * How far a certificate's validity begins in the past, so that machines whose clocks are behind take it at once.
 */
export const BACKDATED_MS = 2 * 3_600_000;

/**
 * A new authority of ten years. Critical constraints bind it: it signs end certificates only (path length 0), for
 * identities in this cluster, for Services in this namespace, and never for an address: in a foreign trust store it
 * could do no harm.
 */
export async function createAuthority(scope: AuthorityScope, now: Date): Promise<Authority> {
  const uri = authorityUri(scope);
  const key = await createKey();
  const name = `EtcdGuardian CA ${keyIdentifier(key).toString('hex', 0, 8)}`;
  const certificate = signCertificate(
    {
      subject: name,
      issuer: name,
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + AUTHORITY_LIFE_MS),
      publicKey: createPublicKey(key),
      extensions: [
        { oid: '2.5.29.19', critical: true, value: der.sequence(der.boolean(true), der.integer(0)) },
        // keyCertSign and cRLSign: bits 5 and 6.
        { oid: '2.5.29.15', critical: true, value: der.bits(Uint8Array.of(0b0000_0110), 1) },
        { oid: '2.5.29.17', critical: false, value: der.sequence(der.taggedBytes(URI, Buffer.from(uri))) },
        { oid: '2.5.29.30', critical: true, value: nameConstraints(scope) },
      ],
    },
    key,
  );
  return { scope, certificate, key };
}

/** Throws `pki.authority`, which names `source`, for what isn't one of our authorities' certificates. */
export function parseAuthorityCertificate(pem: string, source: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw notAnAuthority(source, `is no certificate: ${reasonOf(error)}`, error);
  }
  if (!certificate.ca) throw notAnAuthority(source, "is the certificate of someone who can't issue any");
  if (!certificate.verify(certificate.publicKey)) throw notAnAuthority(source, 'is not signed by itself');
  scopeOfAuthority(certificate, source);
  return certificate;
}

/** Throws `pki.authority` or `pki.key`, naming the source, unless both belong together. */
export function parseAuthority(
  certificate: { readonly pem: string; readonly source: string },
  key: { readonly pem: string; readonly source: string },
): Authority {
  const parsed = parseAuthorityCertificate(certificate.pem, certificate.source);
  const privateKey = parsePrivateKey(key.pem, key.source);
  if (!parsed.checkPrivateKey(privateKey)) {
    throw notAnAuthority(certificate.source, `does not belong to the private key in ${key.source}`);
  }
  return {
    scope: scopeOfAuthority(parsed, certificate.source),
    certificate: parsed,
    key: privateKey,
  };
}

/** What an authority's certificate says it is for; throws `pki.authority` when it doesn't say. */
export function scopeOfAuthority(certificate: X509Certificate, source = 'the authority'): AuthorityScope {
  const [uri, ...others] = uriNames(certificate) ?? [];
  const scope = uri === undefined || others.length > 0 ? undefined : parseAuthorityUri(uri);
  if (scope === undefined) throw notAnAuthority(source, "doesn't say which cluster it is the authority of");
  return scope;
}

/** RFC 5280's GeneralName. */
const DNS = 2;
const URI = 6;
const ADDRESS = 7;

/** RFC 5280, 4.2.1.10. The URI's constraint is on its host part; no bits of an address under a mask of zeroes: all. */
function nameConstraints({ cluster, namespace }: AuthorityScope): der.Der {
  const subtree = (tag: number, bytes: Uint8Array): der.Der => der.sequence(der.taggedBytes(tag, bytes));
  return der.sequence(
    der.tagged(0, subtree(URI, Buffer.from(cluster)), subtree(DNS, Buffer.from(`${namespace}.svc`))),
    der.tagged(1, subtree(ADDRESS, new Uint8Array(8)), subtree(ADDRESS, new Uint8Array(32))),
  );
}

function notAnAuthority(source: string, why: string, cause?: unknown): GuardianError {
  return new GuardianError('pki.authority', `${source} ${why}`, {
    hint: 'It must hold a certificate authority that this program created. Restore it, or let a new one be created and enrol again.',
    cause,
  });
}
