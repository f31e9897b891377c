import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import { type DrillApiClient, drillApiClient } from './drill-api-client.ts';
import { CLIENT_SOCKET } from './drill-etcd.ts';
import type { DrillFolder } from './drill-folder.ts';
import { type RunningProgram, startProgram } from './drill-program.ts';

/** A kube-apiserver on a drill's etcd: on loopback, for whoever has the token, which only this drill has. */
export interface DrillApiServer extends AsyncDisposable {
  readonly client: DrillApiClient;
}

export interface DrillApiServerOptions {
  /** The kube-apiserver program. */
  readonly program: string;
  /** An EncryptionConfiguration; undefined: values are stored in plain. */
  readonly encryptionConfig: string | undefined;
  /** As `--service-cluster-ip-range`. */
  readonly serviceRange: string;
  readonly databaseBytes: number;
  readonly startTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Asked while it isn't ready; rejects where there is no point in waiting on. */
  readonly meanwhile: (client: DrillApiClient) => Promise<void>;
}

/**
 * Starts it and waits until it is ready. It calls nobody: webhooks are off, and what else would go to a Service, a node
 * or an aggregated API (whose addresses are those of the live cluster) is sent to a socket that nobody listens on.
 *
 * Rejects with `drill.api-server-ended`, naming its last words, `drill.api-server-silent`, `drill.no-program`.
 */
export async function startDrillApiServer(
  options: DrillApiServerOptions,
  folder: DrillFolder,
): Promise<DrillApiServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options, folder, await freePort());
    } catch (error) {
      // Between our looking and its listening somebody else may have taken the port.
      const taken = error instanceof GuardianError && error.message.includes('address already in use');
      if (!taken || attempt === 5) throw error;
    }
  }
}

async function startOnce(
  options: DrillApiServerOptions,
  folder: DrillFolder,
  port: number,
): Promise<DrillApiServer> {
  const token = randomBytes(32).toString('hex');
  const files = await writeFiles(folder.path, token);
  await using stack = new AsyncDisposableStack();
  const server = await startProgram(
    {
      name: 'kube-apiserver',
      program: options.program,
      args: [
        ...[`--etcd-servers=${CLIENT_SOCKET}`, '--etcd-compaction-interval=0'],
        ...[`--secure-port=${port}`, '--bind-address=127.0.0.1', '--advertise-address=127.0.0.1'],
        ...[`--cert-dir=${CERTIFICATES}`, `--token-auth-file=${files.tokens}`, '--anonymous-auth=false'],
        ...['--authorization-mode=RBAC', '--profiling=false', '--endpoint-reconciler-type=none'],
        `--service-cluster-ip-range=${options.serviceRange}`,
        '--service-account-issuer=https://kubernetes.default.svc',
        ...[`--service-account-key-file=${files.key}`, `--service-account-signing-key-file=${files.key}`],
        `--egress-selector-config-file=${files.egress}`,
        `--disable-admission-plugins=${WEBHOOKS.join(',')}`,
        ...(options.encryptionConfig === undefined
          ? []
          : [`--encryption-provider-config=${options.encryptionConfig}`]),
      ],
      memoryBytes: LEAST_MEMORY + 3 * options.databaseBytes,
    },
    folder,
  );
  stack.use(server);
  const client = await ready(server, folder, { ...options, port, token });
  stack.use(client);
  const kept = stack.move();
  return { client, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const CERTIFICATES = 'certificates';
const WEBHOOKS = ['MutatingAdmissionWebhook', 'ValidatingAdmissionWebhook'];
const LEAST_MEMORY = 2 ** 30;

/** Everything but etcd is reached through a socket that isn't there. */
const NOWHERE = {
  apiVersion: 'apiserver.k8s.io/v1beta1',
  kind: 'EgressSelectorConfiguration',
  egressSelections: ['cluster', 'controlplane'].map((name) => ({
    name,
    connection: { proxyProtocol: 'GRPC', transport: { uds: { udsName: '/nonexistent/etcdguardian-drill' } } },
  })),
};

async function writeFiles(
  folder: string,
  token: string,
): Promise<{ readonly tokens: string; readonly key: string; readonly egress: string }> {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
  });
  const files = { tokens: 'tokens.csv', key: 'service-accounts.key', egress: 'egress.json' };
  const mode = 0o600;
  await writeFile(path.join(folder, files.tokens), `${token},drill,drill,"system:masters"\n`, { mode });
  await writeFile(path.join(folder, files.key), privateKey, { mode });
  await writeFile(path.join(folder, files.egress), JSON.stringify(NOWHERE), { mode });
  return files;
}

interface Readiness extends Pick<DrillApiServerOptions, 'startTimeoutMs' | 'signal' | 'meanwhile'> {
  readonly port: number;
  readonly token: string;
}

const LOOK_MS = 100;

async function ready(
  server: RunningProgram,
  folder: DrillFolder,
  { port, token, startTimeoutMs, signal, meanwhile }: Readiness,
): Promise<DrillApiClient> {
  const deadline = performance.now() + startTimeoutMs;
  let client: DrillApiClient | undefined;
  let last = 'it makes its certificate';
  try {
    while (performance.now() < deadline) {
      signal?.throwIfAborted();
      if (server.ended() !== undefined) throw await serverEnded(server);
      const ca = await readFile(path.join(folder.path, CERTIFICATES, 'apiserver.crt'), 'utf8').catch(
        () => '',
      );
      if (client === undefined && ca.includes('END CERTIFICATE')) client = drillApiClient(port, ca, token);
      const answer = await client?.get('/readyz?verbose', { signal }).catch((error: unknown) => {
        signal?.throwIfAborted();
        last = reasonOf(error);
      });
      if (answer?.status === 200 && client !== undefined) return client;
      if (answer !== undefined && client !== undefined) {
        last = unreadyOf(answer.message);
        await meanwhile(client);
      }
      await Promise.race([delay(LOOK_MS), server.exited]);
    }
    throw new GuardianError(
      'drill.api-server-silent',
      `kube-apiserver was not ready within ${startTimeoutMs / 1000} s: ${last}`,
      { hint: 'give it longer with --start-timeout, where the machine is slow' },
    );
  } catch (error) {
    client?.[Symbol.dispose]();
    throw error;
  }
}

/** Of the verbose answer the checks that fail, which are marked `[-]`. */
function unreadyOf(message: string): string {
  const failing = [...message.matchAll(/^\[-\](\S+)/gm)].map(([, name]) => name ?? '');
  return failing.length === 0 ? message.slice(0, 200) : `it waits for ${failing.join(', ')}`;
}

async function serverEnded(server: RunningProgram): Promise<GuardianError> {
  const lines = await server.lastWords();
  // klog: errors and fatal lines begin with E and F; what cobra says at the end begins with "Error:".
  const said = lines.findLast((line) => /^(?:Error:|F\d{4}|panic: )/.test(line)) ?? lines.at(-1) ?? 'nothing';
  return new GuardianError(
    'drill.api-server-ended',
    `kube-apiserver ended (${server.ended() ?? 'it runs'}) instead of serving what was restored: ${said.slice(0, 500)}`,
    {
      hint: "check that --kube-apiserver is of the cluster's own version, and --encryption-config its own file",
    },
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a port without a number');
  return address.port;
}
