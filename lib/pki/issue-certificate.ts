import type { KeyObject, X509Certificate } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { type Authority, BACKDATED_MS } from './authority.ts';
import * as der from './der.ts';
import { identityUri, type PeerIdentity, ROLES } from './identity.ts';
import { requireCurve } from './key-pair.ts';
import { signCertificate } from './sign-certificate.ts';
import { USAGE_OIDS, verifyCertificate } from './verify-certificate.ts';

export interface CertificateOrder {
  /** Its cluster is the authority's. */
  readonly identity: PeerIdentity;
  readonly publicKey: KeyObject;
  /** Names of the Service that a server stands behind; within the authority's namespace. */
  readonly dnsNames?: readonly string[];
  readonly now: Date;
  /** Default, and longest: the role's. Never longer than the authority lives. */
  readonly lifeMs?: number;
}

/**
 * A certificate for one identity, good for the ends of connections that its role may be. What comes back was verified.
 * Throws `pki.key` for a key that isn't ours to sign, `pki.name` for names that can't be, `pki.order` for what the
 * authority doesn't issue.
 */
export function issueCertificate(authority: Authority, order: CertificateOrder): X509Certificate {
  const { identity, publicKey, dnsNames = [], now } = order;
  const { uses, lifeMs } = ROLES[identity.role];
  requireCurve(publicKey, `the request of ${identityUri(identity)}`);
  const { cluster, namespace } = authority.scope;
  if (identity.cluster !== cluster) {
    throw refused(`${identityUri(identity)}: this authority is for cluster ${cluster}`);
  }
  if (order.lifeMs !== undefined && (order.lifeMs > lifeMs || order.lifeMs <= 0)) {
    throw refused(`a certificate of ${order.lifeMs} ms; those of ${identity.role} live up to ${lifeMs} ms`);
  }
  for (const name of dnsNames) {
    if (!SERVICE_NAME.test(name) || !name.endsWith(`.${namespace}.svc`))
      throw refused(`"${name}": not the name of a Service in namespace ${namespace}`);
  }
  const ends = now.getTime() + (order.lifeMs ?? lifeMs);
  const certificate = signCertificate(
    {
      subject: `EtcdGuardian ${identity.role}`,
      issuer: commonName(authority.certificate),
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(Math.min(ends, authority.certificate.validToDate.getTime())),
      publicKey,
      extensions: [
        { oid: '2.5.29.19', critical: true, value: der.sequence() },
        // digitalSignature: bit 0. TLS 1.3 needs no other.
        { oid: '2.5.29.15', critical: true, value: der.bits(Uint8Array.of(0b1000_0000), 7) },
        {
          oid: '2.5.29.37',
          critical: false,
          value: der.sequence(...uses.map((use) => der.oid(USAGE_OIDS[use]))),
        },
        {
          oid: '2.5.29.17',
          critical: false,
          value: der.sequence(
            der.taggedBytes(6, Buffer.from(identityUri(identity))),
            ...dnsNames.map((name) => der.taggedBytes(2, Buffer.from(name))),
          ),
        },
      ],
    },
    authority.key,
  );
  for (const usage of uses) {
    verifyCertificate(certificate, { authorities: [authority.certificate], now, usage });
  }
  return certificate;
}

const SERVICE_NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.[a-z0-9]([a-z0-9-]*[a-z0-9])?\.svc$/;

function commonName(certificate: X509Certificate): string {
  return /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? '';
}

function refused(what: string): GuardianError {
  return new GuardianError('pki.order', `refused to certify ${what}`, {
    hint: 'Ask for what the role allows.',
  });
}
