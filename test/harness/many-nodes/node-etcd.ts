import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { connectEtcd } from '../../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../../lib/etcd/client/etcd-client.ts';
import { base64 } from '../etcd-gateway.ts';
import { eventually } from '../eventually.ts';
import type { TlsSettings } from '../../../lib/etcd/client/etcd-settings.ts';
import type { NodePki } from './node-pki.ts';

/** The etcd of a node, as a test speaks to it; it may come and go. */
export interface NodeEtcd extends AsyncDisposable {
  readonly endpoint: string;
  readonly client: EtcdClient;
  /** Again until it is acknowledged, so that it may be written twice. Resolves to the revision. */
  put(key: string, value: string): Promise<bigint>;
  get(key: string): Promise<string | undefined>;
  /** What a judge looks at: all of this member's data up to a revision (default now), in three numbers. */
  proof(revision?: bigint): Promise<MemberProof>;
}

export interface MemberProof {
  readonly clusterId: bigint;
  readonly revision: bigint;
  readonly hash: number;
}

export function nodeEtcd(address: string, { client: tls }: NodePki): NodeEtcd {
  const endpoint = `https://${address}:2379`;
  const client = connectEtcd({ endpoints: [endpoint], tls, connectTimeoutMs: CONNECT_MS });
  return {
    endpoint,
    client,
    // Members elect another leader whenever the machine stands still for a second.
    put: (key, value) => eventually(`${endpoint} takes a write`, () => putOnce(endpoint, tls, key, value)),
    async get(key) {
      const { kvs } = await client.range(key);
      const [kv] = kvs;
      return kv === undefined ? undefined : Buffer.from(kv.value).toString();
    },
    async proof(revision = 0n) {
      const { header, hash } = await client.hashKV(endpoint, revision);
      return { clusterId: header.clusterId, revision: revision === 0n ? header.revision : revision, hash };
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const PUT_MS = 10_000;
const CONNECT_MS = 30_000;

async function putOnce(endpoint: string, tls: TlsSettings, key: string, value: string): Promise<bigint> {
  const [ca, cert, secret] = await Promise.all(
    [tls.caFile, tls.certFile, tls.keyFile].map((path = '') => readFile(path)),
  );
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { method: 'POST', ca, cert, key: secret, agent: false, timeout: PUT_MS };
  const sent = request(`${endpoint}/v3/kv/put`, options, (answer) => {
    text(answer).then(resolve, reject);
  });
  sent.on('error', reject);
  sent.on('timeout', () => sent.destroy(new Error(`${endpoint} doesn't answer`)));
  sent.end(JSON.stringify({ key: base64(key), value: base64(value) }));
  const body = await promise;
  const { header } = JSON.parse(body) as { header?: { revision: string } };
  if (header === undefined) throw new Error(`${endpoint}: ${body}`);
  return BigInt(header.revision);
}
