import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TlsSettings } from '../../lib/etcd/client/etcd-settings.ts';
import type { EtcdFlags } from './etcd-flags.ts';
import type { EtcdPlace } from './etcd-place.ts';

/** Where the paths of a configuration lie on the node. */
export type PathOnNode = (path: string) => string;

/** What etcd's settings say of it; all but how it runs. `onNode`: of a container's paths. */
export async function placeOfFlags(
  flags: EtcdFlags,
  onNode: PathOnNode,
): Promise<Omit<EtcdPlace, 'runsAs' | 'runsFrom' | 'apiServers'>> {
  const name = flags.get('name') ?? 'default';
  const walDir = flags.get('wal-dir') ?? '';
  const tls = await tlsOf(flags, onNode);
  return {
    name,
    dataDir: onNode(flags.get('data-dir') ?? `${name}.etcd`),
    walDir: walDir === '' ? '' : onNode(walDir),
    peerUrls: listed(flags.get('initial-advertise-peer-urls') ?? 'http://localhost:2380'),
    initialCluster: flags.get('initial-cluster') ?? '',
    client: {
      endpoints: endpointsOf(flags.get('listen-client-urls') ?? 'http://localhost:2379'),
      ...(tls === undefined ? {} : { tls }),
    },
  };
}

/** The addresses to try on this node, the loopback one first; those of sockets of the file system are left out. */
function endpointsOf(listen: string): string[] {
  const urls = listed(listen).flatMap((text) => {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) return [];
    if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
    if (url.hostname === '[::]') url.hostname = '[::1]';
    return [url];
  });
  const isLoopback = ({ hostname }: URL): boolean => /^(127\.|\[::1\]$|localhost$)/.test(hostname);
  const [first] = [...urls.filter(isLoopback), ...urls];
  // One is enough: they all lead to the same member.
  return first === undefined ? [] : [first.origin];
}

async function tlsOf(flags: EtcdFlags, onNode: PathOnNode): Promise<TlsSettings | undefined> {
  const file = (name: string): string | undefined => {
    const path = flags.get(name);
    return path === undefined || path === '' ? undefined : onNode(path);
  };
  const serverCert = file('cert-file');
  if (serverCert === undefined) return undefined;
  const caFile = file('trusted-ca-file');
  const identity = await clientIdentity(caFile, serverCert, file('key-file'));
  // Without an authority of its own etcd takes no client certificates, and its own is of an unknown one.
  return { ...(caFile === undefined ? {} : { caFile }), ...identity };
}

/** kubeadm keeps a client certificate for health checks beside the CA; else etcd's own does, as its gateway uses it so. */
async function clientIdentity(
  caFile: string | undefined,
  serverCert: string,
  serverKey: string | undefined,
): Promise<Pick<TlsSettings, 'certFile' | 'keyFile'>> {
  if (caFile === undefined) return {};
  for (const name of ['healthcheck-client', 'client']) {
    const [certFile, keyFile] = [join(dirname(caFile), `${name}.crt`), join(dirname(caFile), `${name}.key`)];
    if ((await readable(certFile)) && (await readable(keyFile))) return { certFile, keyFile };
  }
  return serverKey === undefined ? {} : { certFile: serverCert, keyFile: serverKey };
}

async function readable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function listed(text: string): string[] {
  return text.split(',').filter((entry) => entry !== '');
}
