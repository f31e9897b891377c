import { Command, Option } from 'commander';
import { randomBytes } from 'node:crypto';
import { REBASE } from '../lib/backup/capture/rebase.ts';
import { type Capture, type CaptureRequest, startCapture } from '../lib/backup/capture/run-capture.ts';
import type { TakeBase } from '../lib/backup/capture/ship-segments.ts';
import { type BackupEvent, fullBackup } from '../lib/backup/full-backup.ts';
import { openEphemeralFile } from '../lib/encryption/ephemeral-file.ts';
import { connectEtcd } from '../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../lib/etcd/client/etcd-client.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { whyUnhealthy } from './capture-health.ts';
import { failureOf, logEvent, logProgress } from './capture-log.ts';
import { captureMetrics } from './capture-metrics.ts';
import { rebaseLimits, rebaseSettings, type RebaseOptions } from './capture-rebase.ts';
import { EXIT_CODES, exitCodeOf } from './exit-code.ts';
import { etcdSettings, withEtcdOptions, type EtcdOptions } from './etcd-options.ts';
import { fullBackupRequest, retainUntil, withFullBackupOptions } from './full-backup-options.ts';
import { errorFields, errorText, LOG_FORMATS, type LogFormat, LogLines } from '../lib/log-lines.ts';
import { parseByteCount, parseDuration } from './option-values.ts';
import {
  openRepositoryWith,
  withRepositoryOptions,
  type OpenedRepository,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { spoolFolder, type SpoolOptions, withSpoolOptions } from './spool-options.ts';
import { parseListenAddress, startStatusServer } from './status-server.ts';

interface RunOptions extends EtcdOptions, RepositoryOptions, SpoolOptions, RebaseOptions {
  readonly sealInterval: string;
  readonly sealBytes: string;
  readonly spillMemory: string;
  readonly spillLimit: string;
  readonly checkInterval: string;
  readonly checkBytes: string;
  readonly listen?: string;
  readonly unhealthyAfter: string;
  readonly logFormat: LogFormat;
  readonly logEvery: string;
}

export function captureRunCommand(session: Session): Command {
  const command = new Command('run')
    .summary('capture every change of one cluster as it happens, until it is stopped')
    .description(
      `Watches the whole key space and stores what changes in segments, so that every
revision can be restored, not only the backups: see "points list". Goes on where
the last run ended; where etcd has compacted past that, the gap is recorded and
a new base taken by itself. With no backup yet it begins with one. Runs in the
foreground; one for a cluster, since a second one steps down.

What is lost when this machine and etcd die together is what the last
--seal-interval saw. While the store is away, segments wait in memory and on
disk, up to --spill-limit.

SIGTERM or Ctrl-C stores what was seen and ends with 0; a second one ends at
once. Exit status 7: another capture of the cluster took over. /healthz (with
--listen) answers 503 when nothing gets into the store: use it to be warned, not
to restart this, which would drop what waits.`,
    )
    .option('--seal-interval <duration>', 'how old a change may become before its segment is stored', '10s')
    .option('--seal-bytes <bytes>', 'and how large a segment', '5Mi')
    .option('--spill-memory <bytes>', 'segments that wait for the store are held in so much memory', '32Mi')
    .option(
      '--spill-limit <bytes>',
      'and in so much of --spool-dir, encrypted; then they are given up: a gap',
      '1Gi',
    )
    .addOption(
      new Option(
        '--rebase <how>',
        'a new base for a chain that has become long: merged from what is stored, or taken from etcd',
      )
        .choices(['merge', 'etcd', 'never'])
        .default('merge'),
    )
    .option('--rebase-segments <n>', 'make one behind so many segments', String(REBASE.segments))
    .option(
      '--rebase-share <factor>',
      "or when their bytes are so many times the base's, and at least 16 MiB",
      String(REBASE.storedShare),
    )
    .option('--rebase-pause <duration>', 'but not more often than this', '10m')
    .option(
      '--check-interval <duration>',
      'look so often whether what was stored still stands; where it does not, a base is taken at once',
      '3m',
    )
    .option('--check-bytes <bytes>', 'and read so much of it whole each time, in turn', '4Mi')
    .option('--listen <address>', 'serve /metrics and /healthz there, e.g. 127.0.0.1:9479')
    .option('--unhealthy-after <duration>', 'trouble or lag of so long makes /healthz answer 503', '1m')
    .addOption(
      new Option('--log-format <format>', 'lines for people or for a collector')
        .choices(LOG_FORMATS)
        .default('text'),
    )
    .option('--log-every <duration>', 'tell the progress so often', '1m');
  withFullBackupOptions(withEtcdOptions(withRepositoryOptions(withSpoolOptions(command))));
  return command.action(async (options: RunOptions) => {
    await run(session, options);
  });
}

async function run(session: Session, options: RunOptions): Promise<void> {
  const { terminal, clock } = session;
  // 1. Everything that the command line may have wrong.
  const log = new LogLines(terminal.stderr, clock, options.logFormat);
  const request = captureRequest(options, clock);
  const listen = options.listen === undefined ? undefined : parseListenAddress(options.listen, '--listen');
  const patienceMs =
    parseDuration(options.unhealthyAfter, '--unhealthy-after') + (request.limits?.intervalMs ?? 0);
  const everyMs = parseDuration(options.logEvery, '--log-every');
  const settings = etcdSettings(options, terminal);
  fullBackupRequest(options, clock());
  const limits = rebaseLimits(options);
  const folder = await spoolFolder(options);

  // 2. The store, the pages, etcd.
  const say = (text: string): void => {
    log.write('warning', 'store', text.replace(/^warning: /, ''));
  };
  const opened = await openRepositoryWith(session, options, { say }, options);
  const running: { capture?: Capture } = {};
  const metrics = captureMetrics(() => running.capture?.status());
  await using pages =
    listen &&
    (await startStatusServer(listen, {
      metrics: () => metrics.read(),
      unhealthy: () => whyUnhealthy(running.capture?.status(), patienceMs, clock()),
    }));
  if (pages !== undefined)
    log.write('info', 'listening', `metrics at ${pages.url}/metrics`, { url: pages.url });
  await using client = connectEtcd(settings);

  // 3. Capture, until it is stopped.
  const takeBase = baseTaker(session, options, opened, client, log);
  const rebase = rebaseSettings(options, limits, {
    session,
    repository: opened.repository,
    takeBase,
    folder,
    log,
  });
  running.capture = await startCapture(
    { ...request, rebase },
    {
      ...{ client, clock, randomBytes, takeBase, repository: opened.repository, store: opened.store },
      openSpill: () => openEphemeralFile(folder),
      stop: terminal.signal,
      onEvent: (event) => {
        const of = failureOf(event);
        if (of !== undefined) metrics.failed(of, clock());
        logEvent(log, event);
      },
    },
  );
  session.exitCode = await watched(running.capture, log, everyMs);
}

/** Tells the progress now and then, and how it ended. Resolves to the exit status. */
async function watched(capture: Capture, log: LogLines, everyMs: number): Promise<number> {
  let told = capture.status();
  const timer = setInterval(() => {
    const now = capture.status();
    logProgress(log, told, now);
    told = now;
  }, everyMs);
  try {
    await capture.ended;
    logProgress(log, undefined, capture.status());
    log.write('info', 'stopped', 'stopped; everything that was seen is stored');
    return EXIT_CODES.ok;
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    log.write('error', 'ended', `ended: ${errorText(error)}`, errorFields(error));
    return exitCodeOf(error);
  } finally {
    clearInterval(timer);
  }
}

function captureRequest(options: RunOptions, clock: Session['clock']): CaptureRequest {
  const budget = options.proofBudget;
  return {
    cluster: options.cluster,
    limits: {
      intervalMs: parseDuration(options.sealInterval, '--seal-interval'),
      bytes: parseByteCount(options.sealBytes, '--seal-bytes'),
    },
    buffer: {
      memoryBytes: parseByteCount(options.spillMemory, '--spill-memory'),
      spillBytes: parseByteCount(options.spillLimit, '--spill-limit'),
    },
    check: {
      everyMs: parseDuration(options.checkInterval, '--check-interval', 1000),
      bodyBytes: parseByteCount(options.checkBytes, '--check-bytes'),
    },
    proofBudgetBytes: budget === undefined ? undefined : parseByteCount(budget, '--proof-budget'),
    retainUntil: () => retainUntil(options, clock()),
  };
}

/** A full backup like any other, told in the log. */
function baseTaker(
  { clock }: Session,
  options: RunOptions,
  opened: OpenedRepository,
  client: EtcdClient,
  log: LogLines,
): TakeBase {
  return async (signal, reason) => {
    const request = fullBackupRequest(options, clock());
    const labels = reason === undefined ? request.labels : { ...request.labels, 'taken-because': reason };
    const { backup, timelineReason } = await fullBackup(
      { ...request, labels },
      {
        ...{ client, repository: opened.repository, clock, signal },
        onEvent: (event) => {
          logBaseEvent(log, event);
        },
      },
    );
    await opened.remember(backup).catch((error: unknown) => {
      log.write(
        'warning',
        'not-noted',
        `the base can't be noted on this machine: ${errorText(error)}`,
        errorFields(error),
      );
    });
    return { backup, timelineReason };
  };
}

function logBaseEvent(log: LogLines, event: BackupEvent): void {
  if (event.kind === 'source') {
    const { memberName, endpoint, reason } = event.source;
    log.write('info', 'base-source', `reading from ${memberName} (${endpoint}): ${reason}`, { endpoint });
  }
  if (event.kind === 'attempt-failed') {
    const text = `${event.endpoint} failed: ${errorText(event.error)}`;
    log.write('warning', 'base-attempt-failed', text, {
      endpoint: event.endpoint,
      ...errorFields(event.error),
    });
  }
  if (event.kind === 'proof' && event.proof.kind === 'none') {
    log.write('info', 'base-unproven', `the base is not proven against a live member: ${event.proof.reason}`);
  }
}
