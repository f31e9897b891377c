import type { Endpoint } from './endpoint.ts';
import type { Identity, TlsMaterial } from './tls-material.ts';

/** How to reach one endpoint, as things are right now. */
export interface Route extends SocketRoute {
  readonly material: TlsMaterial;
  /** What is wrong with newer certificate files, if anything: they weren't taken. */
  readonly complaint: string | undefined;
}

/** As much of a route as a connection is made with. Plain values: it can be told to another thread. */
export interface SocketRoute {
  readonly endpoint: Endpoint;
  readonly material: {
    readonly ca: string | undefined;
    readonly identity: Pick<Identity, 'cert' | 'key'> | undefined;
  };
  /** The name to expect in etcd's certificate in place of the endpoint's host. */
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
}

/** The plain values of a route. */
export function socketRoute({ endpoint, material, serverName, insecureSkipVerify }: Route): SocketRoute {
  const { ca, identity } = material;
  const pair = identity && { cert: identity.cert, key: identity.key };
  return { endpoint, material: { ca, identity: pair }, serverName, insecureSkipVerify };
}
