import { Command, Option } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { parseMoment } from '../moment.ts';
import { collect, parseRevision } from '../option-values.ts';
import { print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';
import { objectIn } from './object-file.ts';
import { restoreText } from './restore-text.ts';
import { encryptionOf, storageLocation, withStorageOptions, type StorageOptions } from './storage-options.ts';
import { waitForRestore } from './wait-for-restore.ts';
import { waitingSignal, withWaitOptions, type WaitOptions } from './wait-options.ts';

interface CreateOptions extends KubeOptions, StorageOptions, WaitOptions, ReportOptions {
  readonly fromFile?: string;
  readonly backup?: string;
  readonly location?: string;
  readonly toRevision?: string;
  readonly toTime?: string;
  readonly onlyNamespace: readonly string[];
  readonly onConflict?: string;
  readonly try?: boolean;
  readonly wait?: boolean;
}

export function kubeRestoreCreateCommand(session: Session): Command {
  const command = new Command('create')
    .summary('create an EtcdRestore, and wait for it with --wait')
    .description(
      `Creates an EtcdRestore from options, or from a file whose spec the options
change. Without --only-namespace, of a backup of the whole cluster, it is the
whole cluster that is restored: API servers and etcd stop meanwhile, and
everything since the restore point is undone. With --wait it is followed through
that; the exit status says how it ended.`,
    )
    .argument('<name>', 'the name of the EtcdRestore')
    .option('-f, --from-file <file>', 'an EtcdRestore in YAML or JSON; - for stdin')
    .option('-b, --backup <name>', 'the EtcdBackup, or the schedule whose newest run is meant')
    .option('--location <place>', 'a backup by its place, as status.snapshotLocation has it')
    .addOption(new Option('--to-revision <revision>', 'the state at this revision').conflicts('toTime'))
    .option('--to-time <time>', 'the state at this time: 2026-11-22T14:05:00Z, 14:05, or -15m')
    .option(
      '--only-namespace <name>',
      'only this namespace, through the API server; may be repeated',
      collect,
      [],
    )
    .addOption(
      new Option('--on-conflict <policy>', 'what becomes of objects that are there').choices([
        'Fail',
        'Skip',
        'Replace',
      ]),
    )
    .option('--try', 'only find out what it would do (spec.dryRun)')
    .addOption(new Option('--dry-run', 'the same as --try').implies({ try: true }))
    .option('-w, --wait', 'until it has ended, with progress');
  withWaitOptions(withStorageOptions(command));
  return withReportOptions(withKubeOptions(command)).action(async (name: string, options: CreateOptions) => {
    await create(session, name, options);
  });
}

async function create(session: Session, name: string, options: CreateOptions): Promise<void> {
  const { terminal, clock } = session;
  const report = reporting(session, options);
  const written =
    options.fromFile === undefined ? undefined : await objectIn(options.fromFile, 'EtcdRestore');
  const spec = { restoreMode: 'Full', ...written?.spec, ...specOf(options, clock()) };
  if (!('backupName' in spec) && !('snapshotLocation' in spec))
    throw new GuardianError('usage.backup', 'nothing says what is to be restored', {
      hint: 'name an EtcdBackup with --backup, or a place with --location; "points" lists them',
    });
  using kube = await connectWith(session, options);
  const fileNamespace = written?.metadata?.namespace;
  const namespace = options.namespace ?? (typeof fileNamespace === 'string' ? fileNamespace : kube.namespace);
  const { apiVersion, kind } = ETCD_RESTORE_RESOURCE;
  const created = await kube.client.create<EtcdRestore>(
    ETCD_RESTORE_RESOURCE,
    namespace,
    { apiVersion, kind, metadata: { ...written?.metadata, name, namespace }, spec },
    { signal: terminal.signal },
  );
  const what = `EtcdRestore ${namespace}/${name}`;
  report.progress.say(`${what} is created`);
  if (options.wait !== true) {
    if (report.format !== 'table') print(terminal, report.format, created, () => '');
    return;
  }
  session.doubt = `${what} is created and goes on by itself; "restore wait ${name} -n ${namespace}" follows it again`;
  const signal = waitingSignal(terminal.signal, options, what);
  const ended = await waitForRestore({
    ...{ client: kube.client, namespace, name, signal },
    progress: report.progress,
  });
  session.doubt = undefined;
  print(terminal, report.format, ended, () => restoreText(ended, clock()));
}

/** What the options say of a spec, and nothing else. */
function specOf(options: CreateOptions, now: Date): Readonly<Record<string, unknown>> {
  const { backup, location, toRevision, toTime, onlyNamespace, onConflict } = options;
  const storage = storageLocation(options);
  const encryption = encryptionOf(options);
  const revision = toRevision === undefined ? undefined : parseRevision(toRevision, '--to-revision');
  if (revision !== undefined && revision > BigInt(Number.MAX_SAFE_INTEGER))
    throw new GuardianError('usage.revision', `--to-revision: ${revision} is more than a resource can say`);
  return {
    ...(backup === undefined ? {} : { backupName: backup }),
    ...(location === undefined ? {} : { snapshotLocation: location }),
    ...(storage === undefined ? {} : { storageLocation: storage }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(revision === undefined ? {} : { restoreMode: 'PointInTime', targetRevision: Number(revision) }),
    ...(toTime === undefined
      ? {}
      : { restoreMode: 'PointInTime', targetTime: parseMoment(toTime, now, '--to-time').toISOString() }),
    ...(onlyNamespace.length === 0 ? {} : { namespaceFilter: onlyNamespace }),
    ...(onConflict === undefined ? {} : { conflictPolicy: onConflict }),
    ...(options.try === true ? { dryRun: true } : {}),
  };
}
