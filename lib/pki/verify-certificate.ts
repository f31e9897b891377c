import type { X509Certificate } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { scopeOfAuthority } from './authority.ts';
import type { Usage } from './identity.ts';
import { peerIdentity } from './peer-identity.ts';

export interface Trust {
  /** Whose certificates are taken: during a rotation there are several. */
  readonly authorities: readonly X509Certificate[];
  readonly now: Date;
  /** The end of the connection that the certificate's holder is. */
  readonly usage: Usage;
}

/**
 * Judges a certificate as a TLS stack does (issuer and signature, times of both, usage, name constraints), so that
 * stored ones can be judged with no connection, and those of long or resumed connections again. There are never
 * intermediate authorities. Throws what is wrong: `pki.not-a-leaf`, `pki.untrusted`, `pki.expired`,
 * `pki.not-yet-valid`, `pki.usage`, `pki.peer`, `pki.cluster`. Returns the authority that issued it.
 */
export function verifyCertificate(certificate: X509Certificate, trust: Trust): X509Certificate {
  const { authorities, now, usage } = trust;
  const who = certificate.subject.replaceAll('\n', ', ');
  if (certificate.ca) {
    throw new GuardianError('pki.not-a-leaf', `the certificate of ${who} is an authority's, not a peer's`, {
      hint: 'Configure the certificate that was issued for this process, not that of the authority.',
    });
  }
  const issuer = authorities.find(
    (authority) =>
      authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
  if (issuer === undefined) {
    throw new GuardianError(
      'pki.untrusted',
      `the certificate of ${who} is of no authority that is trusted here`,
      {
        hint: 'It was issued for another installation, or by an authority that was replaced since: have it issued again.',
      },
    );
  }
  checkTime(issuer, now, `the authority (${issuer.subject.replaceAll('\n', ', ')})`);
  checkTime(certificate, now, who);
  if (extendedUsages(certificate)?.includes(USAGE_OIDS[usage]) !== true) {
    throw new GuardianError(
      'pki.usage',
      `the certificate of ${who} is not for the ${usage}'s end of a connection`,
      {
        hint: 'Use the identity that was issued for this process.',
      },
    );
  }
  const { cluster } = peerIdentity(certificate);
  const scope = scopeOfAuthority(issuer);
  if (cluster !== scope.cluster) {
    throw new GuardianError(
      'pki.cluster',
      `the certificate of ${who} names cluster ${cluster}, which its authority isn't for`,
      { hint: 'Have it issued by the authority of its own cluster.' },
    );
  }
  return issuer;
}

/** Extended key usages, RFC 5280, 4.2.1.12. */
export const USAGE_OIDS: Readonly<Record<Usage, string>> = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
};

/** Undefined, against Node's types, when the certificate doesn't limit them. */
function extendedUsages(certificate: X509Certificate): readonly string[] | undefined {
  return certificate.keyUsage;
}

function checkTime(certificate: X509Certificate, now: Date, who: string): void {
  const { validFromDate: from, validToDate: to } = certificate;
  const clock = `this machine's clock says ${now.toISOString()}`;
  if (now < from) {
    throw new GuardianError(
      'pki.not-yet-valid',
      `the certificate of ${who} is valid from ${from.toISOString()}, and ${clock}`,
      { hint: 'Check the clocks of this machine and of the one where the control plane runs.' },
    );
  }
  if (now > to) {
    throw new GuardianError(
      'pki.expired',
      `the certificate of ${who} ended at ${to.toISOString()}, and ${clock}`,
      {
        hint: 'Check the clock. Agents renew by themselves while the control plane runs: look at its log.',
      },
    );
  }
}
