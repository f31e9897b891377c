import { Command } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { parseCount } from '../option-values.ts';
import { age, count, print, table } from '../output.ts';
import { instant, spansText, spanValue } from '../point-spans-text.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { isWholeCluster } from './doctor/judge-backups.ts';
import { withInstallationOptions, type InstallationOptions } from './installation.ts';
import { connectWith, withKubeOptions, type AllNamespaces, type KubeOptions } from './kube-options.ts';
import { listAll } from './list-all.ts';
import { foundOf, look } from './looked.ts';
import { openStored, type StoredIn } from './stored-repository.ts';

interface Options extends KubeOptions, AllNamespaces, InstallationOptions, ReportOptions {
  readonly limit: string;
}

export function kubePointsCommand(session: Session): Command {
  const command = new Command('points')
    .summary('what can be restored: by the resources, and in the store where you may read its Secret')
    .description(
      `Without a name: what the completed EtcdBackups say can be restored, and up to
where schedules in mode Incremental have every change. With the name of an
EtcdBackup or EtcdBackupSchedule it looks into the store as well, where you may
read the Secret with its keys: every revision of a line marked "ok" can be had
back.`,
    )
    .argument('[name]', 'of an EtcdBackup or EtcdBackupSchedule')
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('--limit <n>', 'show at most so many lines', '40');
  withInstallationOptions(command);
  return withReportOptions(withKubeOptions(command)).action(
    async (name: string | undefined, options: Options) => {
      if (name === undefined) await fromResources(session, options);
      else await ofOne(session, name, options);
    },
  );
}

async function fromResources(session: Session, options: Options): Promise<void> {
  const { terminal, clock } = session;
  const report = reporting(session, options);
  const limit = parseCount(options.limit, '--limit');
  using kube = await connectWith(session, options);
  const where = {
    namespace: options.allNamespaces === true ? undefined : kube.namespace,
    signal: terminal.signal,
  };
  const backups = await listAll<EtcdBackup>(kube.client, ETCD_BACKUP_RESOURCE, where);
  const schedules = foundOf(
    await look(listAll<EtcdBackupSchedule>(kube.client, ETCD_BACKUP_SCHEDULE_RESOURCE, where)),
  );
  const points = backups.flatMap(pointOf).toSorted((a, b) => b.time.localeCompare(a.time));
  const captures = (schedules ?? []).flatMap(({ metadata, status }) => {
    const { revision, time, gaps = 0 } = status?.capture ?? {};
    const schedule = `${metadata.namespace ?? ''}/${metadata.name}`;
    return revision === undefined ? [] : [{ schedule, revision, time: time ?? '', gaps }];
  });
  print(terminal, report.format, { points, captures }, () => {
    if (points.length === 0) return `no completed EtcdBackup in ${where.namespace ?? 'any namespace'}\n`;
    const rows = points
      .slice(0, limit)
      .map((point) => [
        ...[point.time, age(new Date(point.time), clock()), count(point.revision), point.what],
        ...[`${point.namespace}/${point.name}`, point.proof],
      ]);
    const more = points.length - rows.length;
    return (
      captures
        .map(
          ({ schedule, revision, time, gaps }) =>
            `every change up to revision ${count(revision)} of ${time} by schedule ${schedule}, ${gaps === 0 ? 'no gaps' : `${count(gaps)} GAPS`}: "points ${schedule.split('/')[1] ?? ''}" shows them\n`,
        )
        .join('') +
      table(['TIME', 'AGE', 'REVISION', 'WHAT', 'BACKUP', 'PROOF'], rows) +
      (more > 0 ? `… and ${count(more)} older (--limit)\n` : '')
    );
  });
}

interface Point {
  readonly namespace: string;
  readonly name: string;
  readonly time: string;
  readonly revision: number;
  readonly what: string;
  readonly proof: string;
  readonly location: string;
}

function pointOf({ metadata, spec, status }: EtcdBackup): Point[] {
  const { restorePoint, etcdRevision, completionTime, snapshotLocation, validationResult } = status ?? {};
  const revision = restorePoint?.revision ?? etcdRevision;
  if (status?.phase !== 'Completed' || revision === undefined) return [];
  return [
    {
      ...{ namespace: metadata.namespace ?? '', name: metadata.name, revision },
      time: restorePoint?.time ?? completionTime ?? '',
      what: isWholeCluster(spec.namespaceSelector) ? 'cluster' : 'namespaces',
      proof: validationResult?.proof ?? 'None',
      location: snapshotLocation ?? '',
    },
  ];
}

/** As the store has it. */
async function ofOne(session: Session, name: string, options: Options): Promise<void> {
  const { terminal, clock } = session;
  const { signal } = terminal;
  const report = reporting(session, options);
  const limit = parseCount(options.limit, '--limit');
  using kube = await connectWith(session, options);
  const { client, namespace } = kube;
  const found = await subjectOf(kube, name, signal);
  const { repository, unchecked } = await openStored(
    client,
    { ...found.storedIn, namespace },
    options.systemNamespace,
    { clock, signal },
  );
  if (unchecked !== undefined) report.progress.say(`warning: signatures are not checked: ${unchecked}`);
  const clusters = await repository.listClusters({ signal });
  const cluster = found.cluster ?? (clusters.length === 1 ? clusters[0] : undefined);
  if (cluster === undefined)
    throw new GuardianError('repository.not-found', `nothing is known yet of what ${name} stored`, {
      hint: clusters.length === 0 ? 'Nothing lies there.' : `It holds clusters ${clusters.join(', ')}.`,
    });
  if (found.isWhole) {
    const [newest] = await repository.points.list(cluster, { signal });
    const spans = newest?.spans ?? [];
    const value = { cluster, timeline: newest?.timeline.timeline ?? null, spans: spans.map(spanValue) };
    print(terminal, report.format, value, () =>
      newest === undefined
        ? `nothing of cluster ${cluster} can be restored from ${repository.location}\n`
        : `cluster ${cluster}, timeline ${newest.timeline.timeline}, in ${repository.location}\n${spansText(spans, limit, clock())}`,
    );
    return;
  }
  const listed = await repository.namespaces.list(cluster, { signal });
  const rows = listed
    .slice(0, limit)
    .map((entry) =>
      entry.state === 'sound'
        ? [
            entry.id,
            instant(new Date(entry.manifest.readAt)),
            count(entry.manifest.revision),
            entry.manifest.namespaces.join(', '),
          ]
        : [entry.id, '', '', `DAMAGED: ${entry.problem.message}`],
    );
  print(terminal, report.format, { cluster, backups: rows.map(([id]) => id) }, () =>
    table(['ID', 'TIME', 'REVISION', 'NAMESPACES'], rows),
  );
}

interface Subject {
  readonly storedIn: Omit<StoredIn, 'namespace'>;
  readonly isWhole: boolean;
  readonly cluster: string | undefined;
}

/** An EtcdBackup of that name, else an EtcdBackupSchedule. */
async function subjectOf(
  { client, namespace }: Awaited<ReturnType<typeof connectWith>>,
  name: string,
  signal: AbortSignal,
): Promise<Subject> {
  const backup = await look(
    client.get<EtcdBackup>({ resource: ETCD_BACKUP_RESOURCE, namespace, name }, { signal }),
  );
  if ('found' in backup) {
    const { spec, status } = backup.found;
    const isWhole = isWholeCluster(spec.namespaceSelector);
    return { storedIn: spec, isWhole, cluster: status?.restorePoint?.cluster };
  }
  if (backup.problem.code !== 'kubernetes.not-found') throw backup.problem;
  const schedule = await look(
    client.get<EtcdBackupSchedule>({ resource: ETCD_BACKUP_SCHEDULE_RESOURCE, namespace, name }, { signal }),
  );
  if (!('found' in schedule))
    throw schedule.problem.code === 'kubernetes.not-found' ? backup.problem : schedule.problem;
  const { spec } = schedule.found.spec.backupTemplate;
  return { storedIn: spec, isWhole: isWholeCluster(spec.namespaceSelector), cluster: undefined };
}
