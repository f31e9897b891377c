import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import type { SocketRoute } from './route.ts';

/**
 * Begins TLS with etcd on a connected socket. Nothing is refused here: when `secureConnect` comes, `distrustOf` tells the
 * verdict over etcd's certificate. etcd's own verdict over ours comes later, with the first bytes it sends.
 */
export function startTls(socket: Duplex, { endpoint, serverName, material }: SocketRoute): TLSSocket {
  const name = serverName ?? endpoint.host;
  const { ca, identity } = material;
  return connect({
    socket,
    host: name,
    // RFC 6066 §3 allows no address there.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }),
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
  });
}

/** Why etcd's certificate is not to be trusted, e.g. `CERT_HAS_EXPIRED`; undefined when it is. */
export function distrustOf(tls: TLSSocket, { insecureSkipVerify }: SocketRoute): string | undefined {
  // Typed as an Error, but it is a code.
  return tls.authorized || insecureSkipVerify ? undefined : String(tls.authorizationError);
}
