import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { type Authority, createAuthority } from './certificates.ts';
import { type Etcd, startEtcd } from './etcd.ts';
import { eventually } from './eventually.ts';
import { onFreePorts } from './free-port.ts';
import { type ApiRequest, type ApiResponse, requestApi } from './kube-request.ts';
import { runProgram } from './run-program.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

export const KUBERNETES_VERSIONS = ['1.32.2', '1.36.3'] as const;
export type KubernetesVersion = (typeof KUBERNETES_VERSIONS)[number];

/** The version that a test runs when it doesn't care. */
export const DEFAULT_KUBERNETES: KubernetesVersion = '1.36.3';

/** What `needs` wants for an API server and kubectl. */
export const KUBE_PROGRAMS = [
  `kube-apiserver ${DEFAULT_KUBERNETES}`,
  `kubectl ${DEFAULT_KUBERNETES}`,
  'etcd 3.6.16',
] as const;

/** A user that the API server knows by a token. */
export interface KubeUser {
  readonly name: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
}

export interface KubeApiServerOptions {
  readonly version?: KubernetesVersion;
  /** Beside the administrator. */
  readonly users?: readonly KubeUser[];
  /** Every request is written down, for `audit()`. */
  readonly audit?: boolean;
  /** Further flags; they win over the harness's. */
  readonly args?: readonly string[];
  /** Default one of its own, which goes with it. */
  readonly etcd?: Etcd;
}

/**
 * A real API server over a real etcd, with RBAC, service-account tokens, webhooks and admission policies. No controllers
 * and no kubelet: nothing makes default service accounts, collects garbage or runs pods.
 */
export interface KubeApiServer extends AsyncDisposable {
  /** `https://127.0.0.1:port`. */
  readonly url: string;
  readonly authority: Authority;
  readonly etcd: Etcd;
  /** Of the administrator, who is in group system:masters. */
  readonly kubeconfig: string;
  /** Of the process that runs now. */
  readonly pid: number;
  /** What signs the tokens of service accounts. */
  readonly serviceAccountKeyFile: string;
  /** The token of the administrator, or of a user that it was started with. */
  token(user?: string): string;
  /** As the administrator unless told otherwise; resolves whatever the status is. */
  request(method: string, path: string, options?: ApiRequest): Promise<ApiResponse>;
  /** As the administrator; resolves to stdout. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** What it was asked so far, each request once, answered ones only; needs `audit: true`. */
  audit(): Promise<AuditRecord[]>;
  /** Its last log lines. */
  output(): string;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port, over the same data. */
  restart(): Promise<void>;
}

/** Of one request; see audit.k8s.io/v1 Event for the rest. */
export interface AuditRecord {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string; readonly groups?: readonly string[] };
  readonly impersonatedUser?: { readonly username: string; readonly groups?: readonly string[] };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly apiVersion?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly annotations?: Readonly<Record<string, string>>;
}

export const ADMIN: KubeUser = { name: 'admin', groups: ['system:masters'] };

/** Starts an API server that is ready:  `await using kube = await startKubeApiServer();` */
export async function startKubeApiServer(options: KubeApiServerOptions = {}): Promise<KubeApiServer> {
  await using stack = new AsyncDisposableStack();
  const etcd = options.etcd ?? stack.use(await startEtcd());
  const authority = stack.use(await createAuthority('Kubernetes of a test'));
  const folder = stack.use(await temporaryFolder());
  const files = await apiServerFiles(folder, [ADMIN, ...(options.users ?? [])], authority);
  const started = await onFreePorts(1, async ([port = 0]) => {
    const url = `https://127.0.0.1:${port}`;
    const args = [
      ...files.args,
      `--etcd-servers=${etcd.endpoint}`,
      ...[`--secure-port=${port}`, '--bind-address=127.0.0.1', '--advertise-address=127.0.0.1'],
      ...(options.audit === true ? files.auditArgs : []),
      ...(options.args ?? []),
    ];
    const program = requireTool('kube-apiserver', options.version ?? DEFAULT_KUBERNETES);
    const start = async (): Promise<ServerProcess> => {
      const server = await startProcess(program, args);
      const ready = eventually('the API server is ready', async () => {
        const answer = await requestApi(url, authority.certificate, 'GET', '/readyz', {
          token: files.token(ADMIN.name),
        });
        return answer.status === 200;
      });
      const died = server.exited.then((how) => {
        throw new Error(`kube-apiserver ended (${how}):\n${server.output()}`);
      });
      try {
        await Promise.race([ready, died]);
        return server;
      } catch (error) {
        await server.kill();
        throw error;
      }
    };
    return { url, start, server: await start() };
  });
  return await runningServer(started, { etcd, authority, folder, token: files.token }, stack.move());
}

async function runningServer(
  started: { readonly url: string; readonly start: () => Promise<ServerProcess>; server: ServerProcess },
  parts: { etcd: Etcd; authority: Authority; folder: TemporaryFolder; token: (user: string) => string },
  stack: AsyncDisposableStack,
): Promise<KubeApiServer> {
  const { url } = started;
  const { etcd, authority, folder } = parts;
  const token = (user = ADMIN.name): string => parts.token(user);
  const kubeconfig = folder.join('kubeconfig');
  await writeFile(kubeconfig, kubeconfigText(url, authority, token()), { mode: 0o600 });
  return {
    ...{ url, authority, etcd, kubeconfig, token },
    get pid() {
      return started.server.pid;
    },
    serviceAccountKeyFile: folder.join('sa.key'),
    audit: () => readAudit(folder.join('audit.log')),
    request: (method, path, request = {}) =>
      requestApi(url, authority.certificate, method, path, { token: token(), ...request }),
    kubectl: async (...args) =>
      runProgram(requireTool('kubectl', DEFAULT_KUBERNETES), [`--kubeconfig=${kubeconfig}`, ...args], {
        env: { ...process.env, HOME: folder.path, KUBECACHEDIR: folder.join('cache') },
      }),
    output: () => started.server.output(),
    async kill(signal = 'SIGKILL') {
      started.server.signal(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await started.server.exited;
    },
    async restart() {
      await started.server.kill();
      started.server = await started.start();
    },
    async [Symbol.asyncDispose]() {
      // It would drain for long, and there is nothing to lose.
      await started.server.kill();
      await stack.disposeAsync();
    },
  };
}

/** What an API server is started with, but for its etcd and its addresses: several may share it. `hosts`: where it answers. */
export async function apiServerFiles(
  folder: TemporaryFolder,
  users: readonly KubeUser[],
  authority: Authority,
  hosts: readonly string[] = ['127.0.0.1', 'localhost'],
): Promise<{ args: string[]; auditArgs: string[]; token: (user: string) => string }> {
  const tokens = new Map(users.map(({ name }) => [name, randomUUID()]));
  const tokenFile = folder.join('tokens.csv');
  await writeFile(tokenFile, '', { mode: 0o600 });
  for (const { name, uid = `uid-of-${name}`, groups = [] } of users)
    await appendFile(tokenFile, `${tokens.get(name) ?? ''},"${name}","${uid}","${groups.join(',')}"\n`);

  const serviceAccounts = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
  });
  await writeFile(folder.join('sa.pub'), serviceAccounts.publicKey);
  await writeFile(folder.join('sa.key'), serviceAccounts.privateKey, { mode: 0o600 });
  const policy = { level: 'Metadata', omitStages: ['RequestReceived', 'ResponseStarted'] };
  await writeFile(
    folder.join('audit.json'),
    JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [policy] }),
  );
  const serving = await authority.issue({ hosts: [...hosts, 'kubernetes.default.svc'] });
  return {
    args: [
      ...[`--tls-cert-file=${serving.certificateFile}`, `--tls-private-key-file=${serving.keyFile}`],
      `--client-ca-file=${authority.certificateFile}`,
      `--token-auth-file=${tokenFile}`,
      ...['--authorization-mode=RBAC', '--service-cluster-ip-range=10.96.0.0/16'],
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${folder.join('sa.pub')}`,
      `--service-account-signing-key-file=${folder.join('sa.key')}`,
      // Nothing makes default service accounts here, so that pods could never be created.
      '--disable-admission-plugins=ServiceAccount',
      ...['--endpoint-reconciler-type=none', '--profiling=false', '--allow-privileged=true'],
      `--cert-dir=${folder.join('certificates')}`,
    ],
    auditArgs: [
      `--audit-policy-file=${folder.join('audit.json')}`,
      `--audit-log-path=${folder.join('audit.log')}`,
    ],
    token(user) {
      const known = tokens.get(user);
      if (known === undefined) throw new Error(`the API server was started without user ${user}`);
      return known;
    },
  };
}

async function readAudit(path: string): Promise<AuditRecord[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditRecord);
}

export function kubeconfigText(url: string, authority: Authority, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: url, 'certificate-authority': authority.certificateFile } },
    ],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}
