import { Etcd3, type IOptions } from 'etcd3';
import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import { GuardianError } from '../../guardian-error.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import type { EtcdSettings } from './etcd-settings.ts';
import { type TlsMaterial, tlsMaterialSource } from './tls-material.ts';

/** Keys, leases, locks and elections, by the library etcd3; snapshots, hashes and watches are `EtcdClient`'s. */
export interface Etcd3Source extends Disposable {
  /**
   * The library's client for the certificates as they are now: ask again for each piece of work. Whoever holds an older
   * one, as a lock does, may go on using it. Its methods reject with the library's own errors.
   */
  current(): Promise<Etcd3>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** Rejects with `etcd.settings` at what the library has no means for. Disposing closes every client handed out. */
export function etcd3Source(settings: EtcdSettings): Etcd3Source {
  const { tls } = settings;
  const endpoints = settings.endpoints.map((endpoint) => parseEndpoint(endpoint, tls !== undefined));
  refuseUnsupported(settings, endpoints);
  const source = tlsMaterialSource(tls ?? {});
  const clients = new Map<TlsMaterial, Etcd3>();
  return {
    async current() {
      const material = await source.current();
      let client = clients.get(material);
      if (client === undefined) {
        client = new Etcd3(optionsFor(settings, endpoints, material));
        clients.set(material, client);
      }
      return client;
    },
    [Symbol.dispose]() {
      for (const client of clients.values()) client.close();
      clients.clear();
    },
  };
}

function refuseUnsupported({ tls, credentials }: EtcdSettings, endpoints: readonly Endpoint[]): void {
  const mixed = new Set(endpoints.map(({ secure }) => secure)).size > 1;
  const obstacles = [
    mixed ? 'some endpoints http, others https' : '',
    // It would send the address as TLS's server name, which RFC 6066 forbids and Node 26 refuses.
    endpoints.some(({ secure, host }) => secure && isIP(host) !== 0)
      ? 'https and an address instead of a name'
      : '',
    tls?.insecureSkipVerify === true ? "a certificate that isn't checked" : '',
    tls?.serverName !== undefined && credentials !== undefined ? 'serverName together with a password' : '',
  ].filter((obstacle) => obstacle !== '');
  if (obstacles.length === 0) return;
  throw new GuardianError('etcd.settings', `no way to keys, leases and locks with ${obstacles.join(', ')}`, {
    hint: "name the members as etcd's certificate does (kubeadm's carries localhost and the node's name), all http or all https",
  });
}

function optionsFor(settings: EtcdSettings, endpoints: readonly Endpoint[], material: TlsMaterial): IOptions {
  const {
    tls,
    credentials,
    connectTimeoutMs = CONNECT_TIMEOUT_MS,
    requestTimeoutMs = REQUEST_TIMEOUT_MS,
  } = settings;
  const { ca, identity } = material;
  const secure = endpoints.some((endpoint) => endpoint.secure);
  return {
    hosts: endpoints.map(({ url }) => url),
    dialTimeout: connectTimeoutMs,
    defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + requestTimeoutMs }),
    grpcOptions: {
      'grpc.enable_http_proxy': 0,
      ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    },
    ...(credentials === undefined
      ? {}
      : { auth: { username: credentials.username, password: credentials.password } }),
    ...(secure
      ? {
          credentials: {
            rootCertificate: Buffer.from(ca ?? rootCertificates.join('\n')),
            ...(identity === undefined
              ? {}
              : { certChain: Buffer.from(identity.cert), privateKey: Buffer.from(identity.key) }),
          },
        }
      : {}),
  };
}
