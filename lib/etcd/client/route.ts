import { type Endpoint } from './endpoint.ts';
import { type TlsMaterial } from './tls-material.ts';

/** How to reach one endpoint, as things are right now. */
export interface Route {
  readonly endpoint: Endpoint;
  readonly material: TlsMaterial;
  /** The name to expect in etcd's certificate in place of the endpoint's host. */
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
  /** What is wrong with newer certificate files, if anything: they weren't taken. */
  readonly complaint: string | undefined;
}
