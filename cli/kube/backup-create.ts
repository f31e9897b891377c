import { Command, Option } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { print } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { backupText } from './backup-text.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';
import { parseSelector } from './label-selector-option.ts';
import { objectIn } from './object-file.ts';
import { encryptionOf, storageLocation, withStorageOptions, type StorageOptions } from './storage-options.ts';
import { waitForBackup } from './wait-for-backup.ts';
import { waitingSignal, withWaitOptions, type WaitOptions } from './wait-options.ts';

interface CreateOptions extends KubeOptions, StorageOptions, WaitOptions, ReportOptions {
  readonly fromFile?: string;
  readonly mode?: string;
  readonly namespaces?: string;
  readonly consistencyCheck: boolean;
  readonly deletionPolicy?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
}

export function kubeBackupCreateCommand(session: Session): Command {
  const command = new Command('create')
    .summary('create an EtcdBackup, and wait for it with --wait')
    .description(
      `Creates an EtcdBackup from options, or from a file whose spec the options
change. Without --namespaces it is of the whole cluster, which needs verb backup
on etcdclusters.etcdguardian.io. With --wait the exit status says how it ended.`,
    )
    .argument('<name>', 'the name of the EtcdBackup')
    .option('-f, --from-file <file>', 'an EtcdBackup in YAML or JSON; - for stdin')
    .addOption(
      new Option('--mode <mode>', 'a whole snapshot, or what changed').choices(['full', 'incremental']),
    )
    .option('--namespaces <selector>', 'only namespaces with these labels, as kubectl -l: team=a,tier!=test')
    .option('--no-consistency-check', "don't ask a live member whether the backup equals it")
    .addOption(
      new Option(
        '--deletion-policy <policy>',
        'what becomes of the data when the EtcdBackup is deleted',
      ).choices(['Retain', 'Delete']),
    )
    .option('--dry-run', 'let the API server judge it, and create nothing')
    .option('-w, --wait', 'until it has ended, with progress');
  withWaitOptions(withStorageOptions(command));
  return withReportOptions(withKubeOptions(command)).action(async (name: string, options: CreateOptions) => {
    await create(session, name, options);
  });
}

async function create(session: Session, name: string, options: CreateOptions): Promise<void> {
  const { terminal, clock } = session;
  const report = reporting(session, options);
  const written = options.fromFile === undefined ? undefined : await objectIn(options.fromFile, 'EtcdBackup');
  const spec = { backupMode: 'Full', ...written?.spec, ...specOf(options) };
  if (!('storageLocation' in spec))
    throw new GuardianError('usage.store', 'nothing says where the backup is to lie', {
      hint: 'name it with --store s3://bucket/prefix, or in the file',
    });
  using kube = await connectWith(session, options);
  const fileNamespace = written?.metadata?.namespace;
  const namespace = options.namespace ?? (typeof fileNamespace === 'string' ? fileNamespace : kube.namespace);
  const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
  const created = await kube.client.create<EtcdBackup>(
    ETCD_BACKUP_RESOURCE,
    namespace,
    { apiVersion, kind, metadata: { ...written?.metadata, name, namespace }, spec },
    { dryRun: options.dryRun, signal: terminal.signal },
  );
  const what = `EtcdBackup ${namespace}/${name}`;
  report.progress.say(options.dryRun === true ? `${what} would be created` : `${what} is created`);
  if (options.wait !== true || options.dryRun === true) {
    if (report.format !== 'table') print(terminal, report.format, created, () => '');
    return;
  }
  session.doubt = `${what} is created and goes on by itself; "backup show ${name} -n ${namespace}" tells how it went`;
  const signal = waitingSignal(terminal.signal, options, what);
  const ended = await waitForBackup({
    ...{ client: kube.client, namespace, name, signal },
    progress: report.progress,
  });
  session.doubt = undefined;
  print(terminal, report.format, ended, () => backupText(ended, clock()));
}

/** What the options say of a spec, and nothing else. */
function specOf(options: CreateOptions): Readonly<Record<string, unknown>> {
  const { mode, namespaces, deletionPolicy, consistencyCheck } = options;
  const location = storageLocation(options);
  const encryption = encryptionOf(options);
  return {
    ...(mode === undefined ? {} : { backupMode: mode === 'full' ? 'Full' : 'Incremental' }),
    ...(location === undefined ? {} : { storageLocation: location }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(namespaces === undefined ? {} : { namespaceSelector: parseSelector(namespaces, '--namespaces') }),
    ...(deletionPolicy === undefined ? {} : { deletionPolicy }),
    ...(consistencyCheck ? {} : { validation: { enabled: true, consistencyCheck: false } }),
  };
}
