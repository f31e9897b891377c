import { X509Certificate } from 'node:crypto';
import type { ConnectionOptions, PeerCertificate, TLSSocket, TlsOptions } from 'node:tls';
import type { Clock } from '../clock.ts';
import { GuardianError } from '../guardian-error.ts';
import type { Credentials } from './credentials.ts';
import type { PeerIdentity } from './identity.ts';
import { type ExpectedPeer, peerIdentity, requirePeer } from './peer-identity.ts';
import { verifyCertificate } from './verify-certificate.ts';

/**
 * TLS 1.3 towards one of ours. The server is known by the identity in its certificate, not by its address, so that nodes
 * may change theirs. The handshake fails with the `GuardianError` that says who answered instead.
 */
export function clientTls(credentials: Credentials, expected: ExpectedPeer, clock: Clock): ConnectionOptions {
  const { cert, key } = credentials;
  return { cert, key, ...namelessClientTls(credentials, expected, clock) };
}

/** The same for who has no certificate yet, and asks for one. */
export function namelessClientTls(
  { ca, authorities }: Pick<Credentials, 'ca' | 'authorities'>,
  expected: ExpectedPeer,
  clock: Clock,
): ConnectionOptions {
  return {
    ...{ ca, minVersion: 'TLSv1.3', rejectUnauthorized: true },
    // TLS may not name an address, and the name says nothing here.
    servername: SERVER_NAME,
    checkServerIdentity: (_host, peer) => {
      try {
        const certificate = new X509Certificate(peer.raw);
        verifyCertificate(certificate, { authorities, now: clock(), usage: 'server' });
        requirePeer(peerIdentity(certificate), expected);
        return undefined;
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error));
      }
    },
  };
}

/** TLS 1.3 for clients of ours only. Who a client is, and whether it is welcome, says `admitClient`. */
export function serverTls(credentials: Credentials): TlsOptions {
  const { cert, key, ca } = credentials;
  return { cert, key, ca, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true };
}

/**
 * TLS for the webhook server, whose clients are API servers; those may be old. They show a certificate only where they are
 * told to: with `clientCA` only those that have one from there are let in.
 */
export function webhookTls(credentials: Credentials, clientCA?: string): TlsOptions {
  const { cert, key } = credentials;
  const clients = clientCA === undefined ? {} : { ca: clientCA, requestCert: true, rejectUnauthorized: true };
  return { cert, key, ...clients, minVersion: 'TLSv1.2' };
}

/**
 * Who the client of a connection is. To be asked for each call, not once for each connection: those live long, and may be
 * resumed, so that their certificate may have ended or its authority be dropped since. Throws what `verifyCertificate`
 * and `requirePeer` do.
 */
export function admitClient(
  client: TLSSocket | PeerCertificate | X509Certificate,
  credentials: Credentials,
  expected: ExpectedPeer,
  now: Date,
): PeerIdentity {
  const certificate = certificateOf(client);
  if (certificate === undefined) {
    throw new GuardianError('pki.untrusted', 'a client without a certificate', {
      hint: 'Only the control plane, agents and break-glass identities connect here.',
    });
  }
  verifyCertificate(certificate, { authorities: credentials.authorities, now, usage: 'client' });
  const identity = peerIdentity(certificate);
  requirePeer(identity, expected);
  return identity;
}

/** A name for SNI, and for libraries that insist on one; no certificate has it. */
export const SERVER_NAME = 'etcdguardian.internal';

function certificateOf(client: TLSSocket | PeerCertificate | X509Certificate): X509Certificate | undefined {
  if (client instanceof X509Certificate) return client;
  if ('getPeerX509Certificate' in client) return client.getPeerX509Certificate();
  return new X509Certificate(client.raw);
}
