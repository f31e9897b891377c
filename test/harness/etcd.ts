import type { Authority, Certificate } from './certificates.ts';
import { etcdctl } from './etcd-programs.ts';
import { DEADLINE_MS } from './eventually.ts';
import { onFreePorts } from './free-port.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { DEFAULT_ETCD, type EtcdVersion, requireTool } from './tools.ts';

export interface EtcdOptions {
  /** Default 3.6.16. */
  readonly version?: EtcdVersion;
  /** Default `default`, as etcd's own. */
  readonly name?: string;
  /** Default a temporary folder, removed at the end; a folder given here is left alone. */
  readonly dataDir?: string;
  /** Clients speak TLS to it. */
  readonly tls?: EtcdTls;
  /** Turns authentication on: user `root` has this password, and so have the member's own etcdctl calls. */
  readonly rootPassword?: string;
  /** Further flags; they win over the harness's. */
  readonly args?: readonly string[];
  /** Default a generated one-member cluster: `--initial-cluster`. */
  readonly initialCluster?: string;
  readonly initialClusterState?: 'new' | 'existing';
  readonly initialClusterToken?: string;
  /** How long a start may take. */
  readonly deadlineMs?: number;
}

export interface EtcdTls {
  readonly authority: Authority;
  /** Default one that the authority issues for 127.0.0.1. */
  readonly server?: Certificate;
  /** True: a client without a certificate of this authority is turned away. */
  readonly clientCertAuth?: boolean;
}

/** What a member says of itself (`endpoint status`). */
export interface EtcdStatus {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly leader: bigint;
  readonly revision: bigint;
  readonly raftIndex: bigint;
}

/** A running etcd member. */
export interface Etcd extends AsyncDisposable {
  readonly version: EtcdVersion;
  readonly name: string;
  readonly dataDir: string;
  /** `host:port` of the client's side. */
  readonly address: string;
  /** The same with its scheme, as etcdctl's `--endpoints` takes it. */
  readonly endpoint: string;
  readonly peerUrl: string;
  /** Of the process that runs now; throws when none does. */
  readonly pid: number;
  /** Its last log lines. */
  output(): string;
  /** Runs this version's etcdctl against it, with its TLS and root user; resolves to stdout. */
  etcdctl(...args: readonly string[]): Promise<string>;
  /** Rejects at once when it doesn't run. */
  status(): Promise<EtcdStatus>;
  /** SIGKILL unless told otherwise; SIGKILL and SIGTERM wait for the end, SIGSTOP and SIGCONT pause and resume it. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Ends it politely, however long that takes: its log is in its database then. The data dir stays. */
  stop(): Promise<void>;
  /** Starts it again (ending it politely before, when it runs) on the same ports and data dir. */
  restart(changes?: { version?: EtcdVersion; args?: readonly string[] }): Promise<void>;
}

/** Starts one etcd, ready to serve:  `await using etcd = await startEtcd({ version: '3.5.35' });` */
export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  return onFreePorts(2, async ([clientPort = 0, peerPort = 0]) => {
    const args = [...electionArgs(1), ...(options.args ?? [])];
    return startMember({ ...options, args }, clientPort, peerPort);
  });
}

/** A cluster of one elects itself at once, whatever the machine's load; in others a slow member is no dead one for a second. */
export function electionArgs(members: number): string[] {
  const [heartbeatMs, electionMs] = members === 1 ? [10, 100] : [50, 1_000];
  return [`--heartbeat-interval=${heartbeatMs}`, `--election-timeout=${electionMs}`];
}

/** One member on these very ports. For a test's cluster use `startEtcdCluster`. */
export async function startMember(options: EtcdOptions, clientPort: number, peerPort: number): Promise<Etcd> {
  const { name = 'default', tls, deadlineMs = DEADLINE_MS } = options;
  const folder = options.dataDir === undefined ? await temporaryFolder() : undefined;
  const dataDir = options.dataDir ?? folder?.join('data') ?? '';
  const address = `127.0.0.1:${clientPort}`;
  const endpoint = `${tls === undefined ? 'http' : 'https'}://${address}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;

  let version = options.version ?? DEFAULT_ETCD;
  let extraArgs = options.args ?? [];
  let server: ServerProcess | undefined;
  let ctlArgs: string[] = [`--endpoints=${endpoint}`, ...PATIENT];
  const running = (): ServerProcess => {
    if (server?.isRunning() !== true) throw new Error(`etcd ${name} isn't running`);
    return server;
  };

  const start = async (): Promise<void> => {
    const args = [
      ...[`--name=${name}`, `--data-dir=${dataDir}`],
      ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
      ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
      `--initial-cluster=${options.initialCluster ?? `${name}=${peerUrl}`}`,
      `--initial-cluster-state=${options.initialClusterState ?? 'new'}`,
      ...(options.initialClusterToken === undefined
        ? []
        : [`--initial-cluster-token=${options.initialClusterToken}`]),
      ...versionArgs(version),
      ...(await serverTlsArgs(tls)),
      ...(options.rootPassword === undefined ? [] : ['--bcrypt-cost=4']),
      ...extraArgs,
    ];
    server = await startProcess(requireTool('etcd', version), args);
    try {
      // It says so once it has a leader and is known to the cluster, with or without TLS.
      await server.line(/serving client traffic/, deadlineMs);
    } catch (error) {
      await server.kill();
      throw error;
    }
  };
  const stop = async (): Promise<void> => {
    await server?.stop(deadlineMs);
  };
  const dispose = async (): Promise<void> => {
    await server?.kill();
    await folder?.[Symbol.asyncDispose]();
  };

  try {
    ctlArgs = [...ctlArgs, ...(await clientTlsArgs(tls))];
    await start();
    if (options.rootPassword !== undefined) {
      await enableAuth(version, ctlArgs, options.rootPassword);
      ctlArgs.push(`--user=root:${options.rootPassword}`);
    }
  } catch (error) {
    await dispose();
    throw error;
  }

  const ctl = async (...args: readonly string[]): Promise<string> => etcdctl(version, ...ctlArgs, ...args);
  return {
    ...{ name, dataDir, address, endpoint, peerUrl },
    get version() {
      return version;
    },
    get pid() {
      return running().pid;
    },
    output: () => server?.output() ?? '',
    etcdctl: ctl,
    async status() {
      running();
      return parseStatus(await ctl('endpoint', 'status', '--write-out=json'));
    },
    async kill(signal = 'SIGKILL') {
      server?.signal(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await server?.exited;
    },
    stop,
    async restart(changes = {}) {
      await stop();
      version = changes.version ?? version;
      extraArgs = changes.args ?? extraArgs;
      await start();
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** On a loaded machine etcdctl's own 5 s may be too short. */
const PATIENT = ['--dial-timeout=60s', '--command-timeout=60s'];

function versionArgs(version: EtcdVersion): string[] {
  // 3.4 knows no --unsafe-no-fsync, and without zap its log reads differently.
  return version.startsWith('3.4.') ? ['--logger=zap'] : ['--unsafe-no-fsync'];
}

async function serverTlsArgs(tls: EtcdTls | undefined): Promise<string[]> {
  if (tls === undefined) return [];
  const { authority, server = await authority.issue(), clientCertAuth = false } = tls;
  return [
    `--cert-file=${server.certificateFile}`,
    `--key-file=${server.keyFile}`,
    `--trusted-ca-file=${authority.certificateFile}`,
    `--client-cert-auth=${clientCertAuth}`,
  ];
}

async function clientTlsArgs(tls: EtcdTls | undefined): Promise<string[]> {
  if (tls === undefined) return [];
  const trust = `--cacert=${tls.authority.certificateFile}`;
  if (tls.clientCertAuth !== true) return [trust];
  const client = await tls.authority.issue({ commonName: 'root', uses: ['client'] });
  return [trust, `--cert=${client.certificateFile}`, `--key=${client.keyFile}`];
}

async function enableAuth(version: EtcdVersion, ctlArgs: readonly string[], password: string): Promise<void> {
  await etcdctl(version, ...ctlArgs, 'user', 'add', `root:${password}`);
  await etcdctl(version, ...ctlArgs, 'user', 'grant-role', 'root', 'root');
  await etcdctl(version, ...ctlArgs, 'auth', 'enable');
}

/** etcdctl's JSON holds 64-bit numbers as plain digits, which JSON.parse would round. */
function parseStatus(json: string): EtcdStatus {
  const number = (name: string): bigint => {
    const digits = new RegExp(`"${name}":(\\d+)`).exec(json)?.[1];
    if (digits === undefined) throw new Error(`no ${name} in etcdctl's status: ${json}`);
    return BigInt(digits);
  };
  return {
    clusterId: number('cluster_id'),
    memberId: number('member_id'),
    leader: number('leader'),
    revision: number('revision'),
    raftIndex: number('raftIndex'),
  };
}
