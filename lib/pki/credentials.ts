import { X509Certificate } from 'node:crypto';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { parseAuthorityCertificate } from './authority.ts';
import { parsePrivateKey } from './key-pair.ts';
import { splitPem } from './pem.ts';

/** What a process shows of itself, and whom it trusts; all of one moment. PEM, as node:tls takes it. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** `cert`, parsed. */
  readonly certificate: X509Certificate;
  /** `ca`, parsed. */
  readonly authorities: readonly X509Certificate[];
}

export type CredentialTexts = Pick<Credentials, 'cert' | 'key' | 'ca'>;

/**
 * Throws `pki.credentials`, `pki.authority` or `pki.key`, naming `source`, unless the key belongs to the certificate and
 * the certificate to one of the authorities. Whether its time has come or gone is for `verifyCertificate` to say.
 */
export function parseCredentials(texts: CredentialTexts, source: string): Credentials {
  const certificate = parseCertificate(texts.cert, `the certificate of ${source}`);
  const key = parsePrivateKey(texts.key, `the private key of ${source}`);
  if (!certificate.checkPrivateKey(key))
    throw mixed(source, "the private key doesn't belong to the certificate");
  const authorities = splitPem(texts.ca).map((pem) =>
    parseAuthorityCertificate(pem, `an authority of ${source}`),
  );
  if (!authorities.some((one) => certificate.checkIssued(one) && certificate.verify(one.publicKey)))
    throw mixed(source, 'the certificate is of none of the authorities beside it');
  const { cert, ca } = texts;
  return { cert, key: texts.key, ca, certificate, authorities };
}

function parseCertificate(pem: string, source: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new GuardianError('pki.credentials', `${source} can't be read: ${reasonOf(error)}`, {
      hint: 'It must be a certificate in PEM, as this program wrote it.',
      cause: error,
    });
  }
}

function mixed(source: string, what: string): GuardianError {
  return new GuardianError('pki.credentials', `${source}: ${what}`, {
    hint: 'They are of different times or installations. Put back files that belong together, or enrol again.',
    retryable: true,
  });
}
