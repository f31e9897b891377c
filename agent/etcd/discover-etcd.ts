import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import type { AgentSettings } from '../settings.ts';
import { type EtcdFlags, flagsOf, flagsOfConfigFile } from './etcd-flags.ts';
import type { EtcdPlace } from './etcd-place.ts';
import { placeOfFlags, type PathOnNode } from './place-of-flags.ts';
import { staticPods } from './static-pod.ts';
import { systemdUnit } from './systemd-unit.ts';

export type DiscoverySettings = Pick<
  AgentSettings,
  | 'manifestsDir'
  | 'unitDirs'
  | 'etcdUnit'
  | 'k3sDir'
  | 'etcdEndpoints'
  | 'etcdDataDir'
  | 'etcdWalDir'
  | 'etcdCa'
  | 'etcdCert'
  | 'etcdKey'
>;

/**
 * Looks for the etcd of this node: a static pod's manifest, a unit of systemd, the layout of k3s and RKE2; what the
 * settings say of it wins. Reads only files. Rejects with `agent.no-etcd`, which says where it looked, and with
 * `agent.etcd-config`.
 */
export async function discoverEtcd(settings: DiscoverySettings): Promise<EtcdPlace> {
  const apiServers = await findApiServers(settings);
  const found =
    (await inStaticPod(settings)) ?? (await inSystemdUnit(settings)) ?? (await inK3s(settings)) ?? undefined;
  const place = bySettings(settings, found);
  if (place === undefined) throw notFound(settings);
  return { ...place, apiServers };
}

type Found = Omit<EtcdPlace, 'apiServers'>;

async function inStaticPod({ manifestsDir }: DiscoverySettings): Promise<Found | undefined> {
  const [pod] = await staticPods(manifestsDir, 'etcd');
  if (pod === undefined) return undefined;
  const onNode: PathOnNode = (path) => pod.onNode(path);
  const flags = await withConfigFile(flagsOf(pod.args, pod.env), onNode);
  return { runsAs: 'STATIC_POD', runsFrom: pod.path, ...(await placeOfFlags(flags, onNode)) };
}

async function inSystemdUnit({ unitDirs, etcdUnit }: DiscoverySettings): Promise<Found | undefined> {
  const unit = await systemdUnit(unitDirs, etcdUnit);
  if (unit === undefined) return undefined;
  const onNode: PathOnNode = (path) => (isAbsolute(path) ? path : join(unit.workingDirectory, path));
  const flags = await withConfigFile(flagsOf(unit.command.slice(1), unit.env), onNode);
  return { runsAs: 'SYSTEMD_UNIT', runsFrom: unit.name, ...(await placeOfFlags(flags, onNode)) };
}

async function withConfigFile(flags: EtcdFlags, onNode: PathOnNode): Promise<EtcdFlags> {
  const path = flags.get('config-file');
  if (path === undefined || path === '') return flags;
  const file = onNode(path);
  try {
    return flagsOfConfigFile(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof GuardianError) throw error;
    throw new GuardianError(
      'agent.etcd-config',
      `etcd's config file ${file} can't be read: ${reasonOf(error)}`,
      {
        hint: 'Mount its folder into the agent at the same path, or tell the agent by its settings where etcd is.',
        cause: error,
      },
    );
  }
}

/** etcd within the server's process: backups only, since nothing but k3s or RKE2 can stop and start it. */
async function inK3s({ k3sDir }: DiscoverySettings): Promise<Found | undefined> {
  for (const kind of ['k3s', 'rke2']) {
    const tls = join(k3sDir, kind, 'server', 'tls', 'etcd');
    const dataDir = join(k3sDir, kind, 'server', 'db', 'etcd');
    if (!(await isThere(join(dataDir, 'member')))) continue;
    return {
      runsAs: 'RUNS_AS_UNKNOWN',
      runsFrom: kind,
      ...{ name: '', dataDir, walDir: '', peerUrls: [], initialCluster: '' },
      client: {
        endpoints: ['https://127.0.0.1:2379'],
        tls: {
          caFile: join(tls, 'server-ca.crt'),
          certFile: join(tls, 'client.crt'),
          keyFile: join(tls, 'client.key'),
        },
      },
    };
  }
  return undefined;
}

/** What was found, with what the settings say in its place. */
function bySettings(settings: DiscoverySettings, found: Found | undefined): Found | undefined {
  const { etcdEndpoints, etcdDataDir, etcdWalDir, etcdCa, etcdCert, etcdKey } = settings;
  const { client, ...rest } = found ?? { client: { endpoints: [], tls: undefined } };
  const endpoints = etcdEndpoints.length > 0 ? etcdEndpoints : client.endpoints;
  if (endpoints.length === 0) return undefined;
  const tls = {
    ...client.tls,
    ...(etcdCa === undefined ? {} : { caFile: etcdCa }),
    ...(etcdCert === undefined ? {} : { certFile: etcdCert }),
    ...(etcdKey === undefined ? {} : { keyFile: etcdKey }),
  };
  return {
    ...NOTHING,
    ...rest,
    ...(etcdDataDir === undefined ? {} : { dataDir: etcdDataDir }),
    ...(etcdWalDir === undefined ? {} : { walDir: etcdWalDir }),
    client: { endpoints, ...(Object.keys(tls).length === 0 ? {} : { tls }) },
  };
}

const NOTHING: Omit<Found, 'client'> = {
  ...{ runsAs: 'BY_SETTINGS', runsFrom: '', name: '', dataDir: '', walDir: '' },
  ...{ peerUrls: [], initialCluster: '' },
};

const API_SERVER_UNIT = 'kube-apiserver.service';

async function findApiServers({ manifestsDir, unitDirs }: DiscoverySettings): Promise<string[]> {
  const pods = await staticPods(manifestsDir, 'kube-apiserver');
  const unit = await systemdUnit(unitDirs, API_SERVER_UNIT);
  return [...pods.map(({ path }) => path), ...(unit === undefined ? [] : [unit.name])];
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function notFound({ manifestsDir, unitDirs, etcdUnit, k3sDir }: DiscoverySettings): GuardianError {
  return new GuardianError(
    'agent.no-etcd',
    `no etcd was found on this node: no static pod of it in ${manifestsDir}, no ${etcdUnit} in ${unitDirs.join(', ')}, no k3s or RKE2 in ${k3sDir}`,
    {
      hint: 'An agent: run it on the nodes of etcd only, mount those folders, or give its endpoints (ETCDGUARDIAN_ETCD_ENDPOINTS). By hand: see --manifests-dir and --etcd-unit, or make the data dir alone with "etcdguardian restore --data-dir".',
    },
  );
}
