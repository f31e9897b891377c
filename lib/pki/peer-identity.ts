import type { X509Certificate } from 'node:crypto';
import { GuardianError } from '../guardian-error.ts';
import { describeIdentity, parseIdentityUri, type PeerIdentity, type Role } from './identity.ts';
import { uriNames } from './subject-alternative-names.ts';

/**
 * Who a verified certificate says its holder is. Throws `pki.peer` for one that names nobody, or somebody in an unknown
 * way. Says nothing about whether to believe it: that is `verifyCertificate`, or a TLS handshake.
 */
export function peerIdentity(certificate: X509Certificate): PeerIdentity {
  const [uri, ...others] = uriNames(certificate) ?? [];
  const identity = uri === undefined || others.length > 0 ? undefined : parseIdentityUri(uri);
  if (identity !== undefined) return identity;
  const names = certificate.subjectAltName?.slice(0, 200) ?? 'no alternative names';
  throw new GuardianError('pki.peer', `a certificate that names no role of ours (${names})`, {
    hint: 'Peers of this program have certificates that it issued, with one name like etcdguardian://CLUSTER/agent/NODE.',
  });
}

/** Who is welcome at the other end. */
export interface ExpectedPeer {
  readonly cluster: string;
  readonly roles: readonly Role[];
  /** Of agents, only the one of this node. */
  readonly node?: string;
}

/** Throws `pki.cluster`, `pki.role` or `pki.node`, which says who came instead of whom. */
export function requirePeer(identity: PeerIdentity, expected: ExpectedPeer): void {
  const who = describeIdentity(identity);
  if (identity.cluster !== expected.cluster) {
    throw new GuardianError(
      'pki.cluster',
      `${who} is of cluster ${identity.cluster}, not ${expected.cluster}`,
      {
        hint: 'Check the address: another cluster answers there, or calls from there.',
      },
    );
  }
  if (!expected.roles.includes(identity.role)) {
    throw new GuardianError('pki.role', `${who} is not welcome here, only ${expected.roles.join(', ')}`, {
      hint: 'Use the identity that was issued for this purpose.',
    });
  }
  if (identity.role === 'agent' && expected.node !== undefined && identity.node !== expected.node) {
    throw new GuardianError('pki.node', `${who} answers where the agent of ${expected.node} should`, {
      hint: 'Check whether the node has a new address.',
    });
  }
}
