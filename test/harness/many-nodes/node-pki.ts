import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TlsSettings } from '../../../lib/etcd/client/etcd-settings.ts';
import type { Authority } from '../certificates.ts';

/** The certificates of a node's etcd, as kubeadm lays them out. */
export interface NodePki {
  readonly folder: string;
  /** etcd's flags for clients and for peers. */
  readonly etcdFlags: readonly string[];
  /** What an API server needs to speak to it. */
  readonly apiServerFlags: readonly string[];
  readonly client: TlsSettings;
  /** New certificates and keys by the last of these authorities; all of them are trusted. */
  write(authorities: readonly Authority[]): Promise<void>;
}

export async function nodePki(
  folder: string,
  address: string,
  authority: Authority,
  within: (path: string) => string = (path) => path,
): Promise<NodePki> {
  const file = (name: string): string => join(folder, name);
  const pki: NodePki = {
    folder,
    etcdFlags: [
      ...[`--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`],
      ...[`--trusted-ca-file=${file('ca.crt')}`, '--client-cert-auth=true'],
      ...[`--peer-cert-file=${file('peer.crt')}`, `--peer-key-file=${file('peer.key')}`],
      ...[`--peer-trusted-ca-file=${file('ca.crt')}`, '--peer-client-cert-auth=true'],
    ],
    apiServerFlags: [
      `--etcd-cafile=${file('ca.crt')}`,
      `--etcd-certfile=${file('healthcheck-client.crt')}`,
      `--etcd-keyfile=${file('healthcheck-client.key')}`,
    ],
    client: {
      caFile: within(file('ca.crt')),
      certFile: within(file('healthcheck-client.crt')),
      keyFile: within(file('healthcheck-client.key')),
    },
    async write(authorities) {
      const issuer = authorities.at(-1) ?? authority;
      await mkdir(folder, { recursive: true });
      await writeFile(file('ca.crt'), authorities.map(({ certificate }) => certificate).join(''));
      const hosts = [address, '127.0.0.1', 'localhost'];
      for (const name of ['server', 'peer', 'healthcheck-client']) {
        const leaf = await issuer.issue({ commonName: name, hosts });
        await writeFile(file(`${name}.crt`), leaf.certificate);
        await writeFile(file(`${name}.key`), leaf.key, { mode: 0o600 });
      }
    },
  };
  await pki.write([authority]);
  return pki;
}
