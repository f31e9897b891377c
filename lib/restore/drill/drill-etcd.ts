import { setTimeout as delay } from 'node:timers/promises';
import { connectEtcd } from '../../etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import type { DrillFolder } from './drill-folder.ts';
import { memoryFor, quotaFor, socketIn } from './etcd-limits.ts';
import { type RunningProgram, startProgram } from './drill-program.ts';

/** An etcd that nobody but this drill can reach. */
export interface DrillEtcd extends AsyncDisposable {
  readonly client: EtcdClient;
  /** What its client's calls name it by. */
  readonly endpoint: string;
}

export interface DrillEtcdOptions {
  /** The etcd program. */
  readonly program: string;
  /** Below the drill's folder. */
  readonly dataDir: string;
  /** Bytes of the database. */
  readonly databaseBytes: number;
  /** How long it may take until it serves. */
  readonly startTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export const DRILL_MEMBER = 'drill';
/** Nobody listens there, so that the member has an address that leads nowhere. */
export const DRILL_PEER_URL = 'http://127.0.0.1:1';
/** How etcd and API server find the clients' socket: below the folder that both run in. */
export const CLIENT_SOCKET = 'unix://client:0';

/**
 * Starts etcd on restored data and waits until it serves. It listens on Unix sockets in the drill's folder only, which no
 * other user may enter: there is no port that another member, or anybody else, could reach.
 *
 * Rejects with `drill.etcd-ended`, naming its last words, `drill.etcd-silent`, `drill.no-program` and `drill.work-dir`
 * (its path is too long for a socket).
 */
export async function startDrillEtcd(options: DrillEtcdOptions, folder: DrillFolder): Promise<DrillEtcd> {
  const { program, dataDir, databaseBytes, startTimeoutMs, signal } = options;
  const socketPath = socketIn(folder, 'client:0');
  if (socketPath === undefined) {
    throw new GuardianError('drill.work-dir', `${folder.path} is too long a path for a socket`, {
      hint: 'give a shorter one with --work-dir',
    });
  }
  await using stack = new AsyncDisposableStack();
  const etcd = await startProgram(
    {
      name: 'etcd',
      program,
      args: [
        ...[`--name=${DRILL_MEMBER}`, `--data-dir=${dataDir}`, '--logger=zap'],
        ...[`--listen-client-urls=${CLIENT_SOCKET}`, `--advertise-client-urls=${CLIENT_SOCKET}`],
        ...['--listen-peer-urls=unix://peer:0', `--initial-advertise-peer-urls=${DRILL_PEER_URL}`],
        `--initial-cluster=${DRILL_MEMBER}=${DRILL_PEER_URL}`,
        `--quota-backend-bytes=${quotaFor(databaseBytes)}`,
        // Alone, it needn't wait for anybody before it elects itself.
        ...['--heartbeat-interval=10', '--election-timeout=100'],
      ],
      memoryBytes: memoryFor(databaseBytes),
    },
    folder,
  );
  stack.use(etcd);
  const client = stack.use(connectEtcd({ endpoints: [ENDPOINT], socketPath }));
  await serving(etcd, client, startTimeoutMs, signal);
  const kept = stack.move();
  return { client, endpoint: ENDPOINT, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A name; what it leads to is the socket. */
const ENDPOINT = 'http://127.0.0.1:1';
const LOOK_MS = 25;

async function serving(
  etcd: RunningProgram,
  client: EtcdClient,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    if (etcd.ended() !== undefined) throw await etcdEnded(etcd);
    try {
      // Answered with a leader's word only: a member that just reads its files doesn't serve yet.
      await client.range('\0', { signal, timeoutMs: ANSWER_MS });
      return;
    } catch (error) {
      signal?.throwIfAborted();
      last = error;
    }
    await Promise.race([delay(LOOK_MS), etcd.exited]);
  }
  throw new GuardianError(
    'drill.etcd-silent',
    `etcd did not serve within ${timeoutMs / 1000} s: ${reasonOf(last)}`,
    {
      hint: 'give it longer with --start-timeout, where the machine is slow',
    },
  );
}

const ANSWER_MS = 5_000;

async function etcdEnded(etcd: RunningProgram): Promise<GuardianError> {
  const said = complaintOf(await etcd.lastWords());
  return new GuardianError(
    'drill.etcd-ended',
    `etcd ended (${etcd.ended() ?? 'it runs'}) instead of serving what was restored${said === undefined ? '' : `: ${said}`}`,
    {
      hint: 'check that --etcd is of the cluster\'s own version; if it is, this restore point does not serve: drill an older one ("etcdguardian points list")',
    },
  );
}

/** The worst of a zap log: its last fatal or panicking line, what Go's runtime died of, else its last error. */
export function complaintOf(lines: readonly string[]): string | undefined {
  for (const pattern of [/"level":"(?:fatal|panic|dpanic)"/, /^(?:panic|fatal error): /, /"level":"error"/]) {
    const line = lines.findLast((one) => pattern.test(one));
    if (line !== undefined) return messageOf(line).slice(0, 500);
  }
  return lines.at(-1)?.slice(0, 500);
}

function messageOf(line: string): string {
  try {
    const entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
    return [entry.msg, entry.error].filter((part) => typeof part === 'string').join(': ');
  } catch {
    return line;
  }
}
