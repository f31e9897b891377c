import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError, reasonOf } from '../../guardian-error.ts';
import { complaintOf } from '../drill/drill-etcd.ts';
import { memoryFor, quotaFor, socketIn } from '../drill/etcd-limits.ts';
import type { DrillFolder } from '../drill/drill-folder.ts';
import { type RunningProgram, startProgram } from '../drill/drill-program.ts';

/**
 * Who a log is applied as: one of two, the other of which nobody ever starts. So there is never a leader, who would end
 * leases, and write entries of its own; what is committed is applied without one.
 */
export const LOG_CLUSTER = {
  members: [
    { name: 'rescue', peerUrls: ['http://127.0.0.1:1'] },
    { name: 'nobody', peerUrls: ['http://127.0.0.1:2'] },
  ],
} as const;

export interface ApplyLogOptions {
  readonly program: string;
  /** What it says it is, e.g. `3.6.16`. */
  readonly version: string;
  /** Of the first of `LOG_CLUSTER`; below the folder. */
  readonly dataDir: string;
  /** Bytes of the database. */
  readonly databaseBytes: number;
  /** The index up to which its log is to be applied. */
  readonly upTo: number;
  /** How long it may take until it tells of something applied, and from then on of anything more. */
  readonly timeoutMs: number;
  readonly onProgress: (applied: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Lets etcd apply its log to its database, and ends it: all of it is in the file then, and nothing else. Clients are not
 * served; it is watched through its metrics, on a Unix socket in the folder, which no other user may enter.
 *
 * Rejects with `rescue.replay`, naming etcd's last words, `rescue.work-dir` and `drill.no-program`.
 */
export async function applyLog(options: ApplyLogOptions, folder: DrillFolder): Promise<void> {
  const { program, version, dataDir, databaseBytes } = options;
  const socketPath = socketIn(folder, 'metrics:0');
  if (socketPath === undefined) {
    throw new GuardianError('rescue.work-dir', `${folder.path} is too long a path for a socket`, {
      hint: 'Give a shorter one with --work-dir.',
    });
  }
  const [self, other] = LOG_CLUSTER.members;
  await using etcd = await startProgram(
    {
      name: 'etcd',
      program,
      args: [
        ...[`--name=${self.name}`, `--data-dir=${dataDir}`, '--logger=zap'],
        ...['--listen-client-urls=unix://client:0', '--advertise-client-urls=unix://client:0'],
        ...['--listen-peer-urls=unix://peer:0', `--initial-advertise-peer-urls=${self.peerUrls[0]}`],
        `--initial-cluster=${self.name}=${self.peerUrls[0]},${other.name}=${other.peerUrls[0]}`,
        '--listen-metrics-urls=unix://metrics:0',
        `--quota-backend-bytes=${quotaFor(databaseBytes)}`,
        // Each change is in the file at once: what is applied needs no end in order to be kept.
        '--backend-batch-limit=1',
        // The file is thrown away unless this machine gets to the end; etcd 3.4 doesn't know the flag.
        ...(version.startsWith('3.4.') ? [] : ['--unsafe-no-fsync']),
      ],
      memoryBytes: memoryFor(databaseBytes),
    },
    folder,
  );
  await applied(etcd, socketPath, options);
}

const LOOK_MS = 25;

async function applied(
  etcd: RunningProgram,
  socketPath: string,
  { upTo, timeoutMs, onProgress, signal }: ApplyLogOptions,
): Promise<void> {
  let last = 0;
  let why = 'it tells nothing';
  for (let deadline = performance.now() + timeoutMs; performance.now() < deadline;) {
    signal.throwIfAborted();
    if (etcd.ended() !== undefined) throw await ended(etcd);
    try {
      const now = appliedIn(await metrics(socketPath, signal));
      if (now >= upTo) return;
      why = `${now} of ${upTo} entries are applied`;
      if (now > last) {
        last = now;
        deadline = performance.now() + timeoutMs;
        onProgress(now);
      }
    } catch (error) {
      signal.throwIfAborted();
      why = reasonOf(error);
    }
    await Promise.race([delay(LOOK_MS), etcd.exited]);
  }
  throw new GuardianError('rescue.replay', `etcd got no further for ${timeoutMs / 1000} s: ${why}`, {
    hint: `Give it longer with --start-timeout, where the machine is slow. ${WITHOUT}`,
  });
}

const ANSWER_MS = 5_000;

function metrics(socketPath: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const call = request({ socketPath, path: '/metrics', agent: false, signal: limit }, (response) => {
      const parts: string[] = [];
      response.setEncoding('utf8');
      response.on('data', (part: string) => parts.push(part));
      response.on('end', () => {
        resolve(parts.join(''));
      });
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
}

function appliedIn(text: string): number {
  return Number(/^etcd_server_proposals_applied_total (\S+)$/m.exec(text)?.[1] ?? 0);
}

const WITHOUT = 'Without --etcd, a snapshot is made of the database alone.';

async function ended(etcd: RunningProgram): Promise<GuardianError> {
  const said = complaintOf(await etcd.lastWords());
  return new GuardianError(
    'rescue.replay',
    `etcd ended (${etcd.ended() ?? 'it runs'}) instead of applying the log${said === undefined ? '' : `: ${said}`}`,
    { hint: `Check that --etcd is of the cluster's own version. ${WITHOUT}` },
  );
}
