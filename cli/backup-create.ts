import { Command, Option } from 'commander';
import { fullBackup, whyFailed, type BackupEvent, type FullBackup } from '../lib/backup/full-backup.ts';
import { connectEtcd } from '../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../lib/etcd/client/etcd-client.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { keysNeeded } from '../lib/keyspace/keys-needed.ts';
import type { SoundBackup } from '../lib/repository/repository.ts';
import { backupLine, backupValue, proofText } from './backup-figures.ts';
import { incrementalBackup } from './backup-incremental.ts';
import { etcdSettings, withEtcdOptions, type EtcdOptions } from './etcd-options.ts';
import {
  fullBackupRequest,
  type FullBackupOptions,
  retainUntil,
  withFullBackupOptions,
} from './full-backup-options.ts';
import { keysText } from './keys-needed-text.ts';
import { bytes, count, counted, duration, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  withRepositoryOptions,
  type OpenedRepository,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { withSpoolOptions, type SpoolOptions } from './spool-options.ts';

interface CreateOptions
  extends EtcdOptions, RepositoryOptions, SpoolOptions, FullBackupOptions, ReportOptions {
  readonly mode: 'full' | 'incremental';
}

export function backupCreateCommand(session: Session): Command {
  const command = new Command('create')
    .summary('back up a live etcd: streamed, verified, encrypted, proven')
    .description(
      `Streams a snapshot from the best member (a healthy follower before the leader),
verifies every page and record while the bytes pass, compresses, encrypts and
stores them, compares the result with what a live member answers for HashKV, and
only then writes the manifest that makes it a backup. Interrupt it at any point:
nothing half-done is ever listed.

With --mode incremental only what changed since the last run is stored, with
every revision between, and the restore point is named. That needs a backup to
go on from, and an etcd that has not compacted past it (Kubernetes compacts
every 5 minutes: for longer intervals let "capture run" work in between);
otherwise a full backup is taken, and why is told.`,
    )
    .addOption(
      new Option('--mode <mode>', 'everything, or what changed since the last backup')
        .choices(['full', 'incremental'])
        .default('full'),
    );
  withFullBackupOptions(withEtcdOptions(withRepositoryOptions(withSpoolOptions(command))));
  return withReportOptions(command).action(async (options: CreateOptions) => {
    const { terminal, clock } = session;
    const report = reporting(session, options);
    const settings = etcdSettings(options, terminal);
    const opened = await openRepositoryWith(session, options, report.progress, options);
    await using client = connectEtcd(settings);
    const startedAt = clock();
    const takeFull = (signal: AbortSignal): Promise<FullBackup> =>
      takeFullBackup(session, options, opened, client, report.progress, signal);
    if (options.mode === 'incremental') {
      const request = {
        cluster: options.cluster,
        retainUntil: retainUntil(options, startedAt),
        takeBase: takeFull,
      };
      await incrementalBackup(session, opened, client, request, report);
      return;
    }
    const done = await takeFull(terminal.signal);
    report.progress.end();
    const tookMs = clock().getTime() - startedAt.getTime();
    const value = { ...backupValue(done.backup, opened.location), tookMs };
    print(terminal, report.format, value, () => createdText(done, opened.location, tookMs));
  });
}

async function takeFullBackup(
  session: Session,
  options: CreateOptions,
  opened: OpenedRepository,
  client: EtcdClient,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<FullBackup> {
  const { clock } = session;
  const { repository } = opened;
  const done = await fullBackup(fullBackupRequest(options, clock()), {
    ...{ client, repository, clock, signal },
    onEvent: (event) => {
      session.doubt = event.kind === 'committing' ? mayBeThere(event.id) : undefined;
      tell(progress, event);
    },
  });
  session.doubt = undefined;
  await rememberIfPossible(opened, done.backup, progress);
  if (done.timelineReason === 'first') await warnOfMissingFence(opened, progress);
  return done;
}

/** Looked at once, with a cluster's first backup; the backup is committed whatever comes of it. */
async function warnOfMissingFence(repository: OpenedRepository, progress: ProgressLine): Promise<void> {
  try {
    if (await repository.fencesWriters()) return;
    progress.say(
      `warning: ${repository.location} ignores If-None-Match: two machines that write here at once can replace each other's records; let only one machine back up to it`,
    );
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    progress.say(`warning: whether the store keeps two writers apart is unknown: ${error.message}`);
  }
}

/** The backup is committed: that this machine can't note it for later makes it no failure. */
async function rememberIfPossible(
  repository: OpenedRepository,
  backup: SoundBackup,
  progress: ProgressLine,
): Promise<void> {
  try {
    await repository.remember(backup);
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    progress.say(`warning: ${error.message}; a store that later lacks this backup is not noticed here`);
  }
}

function mayBeThere(id: string): string {
  return `backup ${id} was being committed and may be there: see "etcdguardian backup list"; if it is listed, it is whole`;
}

function tell(progress: ProgressLine, event: BackupEvent): void {
  switch (event.kind) {
    case 'source':
      progress.say(
        `cluster ${event.cluster}: reading from ${event.source.memberName} (${event.source.endpoint}): ${event.source.reason}`,
      );
      for (const warning of event.source.warnings) progress.say(`warning: ${warning}`);
      return;
    case 'streaming':
      progress.update({ label: 'backing up', done: event.receivedBytes, total: event.totalBytes });
      return;
    case 'streamed':
      progress.say(
        `verified: revision ${count(event.verdict.revision)}, ${counted(event.verdict.totalKeys, 'key')}, ${bytes(event.verdict.totalSize)}, no problem found`,
      );
      for (const warning of event.verdict.warnings.slice(0, 5)) progress.say(`warning: ${warning.message}`);
      warnOfKeys(progress, keysText(keysNeeded(event.verdict.valuePrefixes ?? [])));
      return;
    case 'proving':
      progress.say(`asking ${event.endpoint} for its HashKV`);
      return;
    case 'proof':
      progress.say(proofText(event.proof, event.sourceId));
      return;
    case 'uploaded':
      progress.say(`stored: ${bytes(event.storedSize)}`);
      return;
    case 'committing':
      progress.say(`committing ${event.id}`);
      return;
    case 'attachments':
      // Only agents take any along.
      return;
    case 'attempt-failed':
      progress.say(
        `${event.endpoint} failed: ${whyFailed(event.error)}${event.again ? '; trying again' : ''}`,
      );
  }
}

function warnOfKeys(progress: ProgressLine, keys: string | undefined): void {
  if (keys === undefined) return;
  progress.say(
    `warning: Secrets are encrypted at rest with ${keys}: a restore needs that EncryptionConfiguration (and its KMS), which is not part of this backup`,
  );
}

function createdText(done: FullBackup, location: string, tookMs: number): string {
  const begun = done.timelineReason === undefined ? '' : `  a new timeline begins: ${done.timelineReason}\n`;
  return `${backupLine(done.backup, location)}${begun}  took ${duration(tookMs)}\n`;
}
