import { isIPv6 } from 'node:net';
import { GuardianError } from '../../guardian-error.ts';

/** Where one member listens for clients. */
export interface Endpoint {
  /** `http(s)://host:port`: how messages and statuses name it. */
  readonly url: string;
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** The Unix socket that leads there, in place of host and port; see `EtcdSettings`. */
  readonly socketPath?: string | undefined;
}

/** etcd's registered port for clients. */
const DEFAULT_PORT = 2379;

/**
 * Reads `https://host:port`, `http://host:port` or `host:port`, where `host` may be `[::1]` and the port may be left
 * out. Without a scheme it is https when `tls` says that certificates are at hand. Rejects with `etcd.settings`.
 */
export function parseEndpoint(text: string, tls: boolean): Endpoint {
  const match = /^(?:([a-z]+):\/\/)?(\[[0-9a-f:.]+(?:%\w+)?\]|[^:/?#@[\]\s]+)(?::(\d{1,5}))?\/?$/i.exec(
    text.trim(),
  );
  const scheme = match?.[1]?.toLowerCase() ?? (tls ? 'https' : 'http');
  const named = match?.[2]?.toLowerCase();
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  const host = named?.startsWith('[') === true ? named.slice(1, -1) : named;
  const bracketsFit = named === undefined || !named.startsWith('[') || isIPv6(host ?? '');
  if (
    host === undefined ||
    !bracketsFit ||
    port < 1 ||
    port > 65_535 ||
    !['http', 'https'].includes(scheme)
  ) {
    throw new GuardianError('etcd.settings', `"${text}" is not an endpoint of etcd`, {
      hint: 'write https://host:port, or http://host:port where etcd has no TLS; an IPv6 address in brackets',
    });
  }
  if (scheme === 'http' && tls) {
    throw new GuardianError('etcd.settings', `endpoint ${text} is plain http, but certificates are given`, {
      hint: 'write https://, or leave the certificates out (also those named by the environment)',
    });
  }
  return { url: `${scheme}://${named ?? host}:${port}`, host, port, secure: scheme === 'https' };
}
