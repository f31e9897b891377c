import { Command } from 'commander';
import { age, counted, fields, print, table } from '../output.ts';
import { reporting, withReportOptions, type ReportOptions } from '../report-options.ts';
import type { Session } from '../session.ts';
import { phaseText } from './backup-text.ts';
import { lastGood } from './doctor/judge-backups.ts';
import { componentOf, isReady } from './doctor/judge-processes.ts';
import {
  type Installation,
  type InstallationOptions,
  readInstallation,
  withInstallationOptions,
} from './installation.ts';
import { connectWith, withKubeOptions, type KubeOptions } from './kube-options.ts';
import { foundOf, type Looked } from './looked.ts';

interface Options extends KubeOptions, InstallationOptions, ReportOptions {}

export function kubeStatusCommand(session: Session): Command {
  const command = new Command('status')
    .summary('who leads, which agents there are, what runs, what was backed up last')
    .description('An overview for operators, as far as you may see it; "doctor" judges it.');
  withInstallationOptions(command);
  return withReportOptions(withKubeOptions(command)).action(async (options: Options) => {
    const { terminal, clock } = session;
    const report = reporting(session, options);
    using kube = await connectWith(session, options);
    const installation = await readInstallation(kube.client, options, clock, terminal.signal);
    if (!('found' in installation.server)) throw installation.server.problem;
    const overview = overviewOf(installation);
    print(terminal, report.format, overview, () => overviewText(installation, overview, clock()));
  });
}

/** What is known, and null for what could not be looked at. */
export function overviewOf(installation: Installation) {
  const { namespace, server, cluster, lease, pods, backups, schedules } = installation;
  const known = foundOf(backups);
  const good = known === undefined ? undefined : lastGood(known);
  return {
    namespace,
    kubernetes: foundOf(server)?.version ?? null,
    cluster: foundOf(cluster) ?? null,
    leader: foundOf(lease)?.spec?.holderIdentity ?? null,
    agents:
      foundOf(pods)
        ?.filter((pod) => componentOf(pod) === 'agent')
        .map((pod) => ({
          node: pod.spec?.nodeName ?? '',
          address: pod.status?.podIP ?? pod.status?.hostIP ?? '',
          ready: isReady(pod),
        })) ?? null,
    running:
      known
        ?.filter(({ status }) => status?.phase === 'Running')
        .map((backup) => ({ backup: nameOf(backup), phase: phaseText(backup) })) ?? null,
    lastGoodBackup:
      good === undefined
        ? null
        : {
            backup: nameOf(good),
            completedAt: good.status?.completionTime ?? null,
            revision: good.status?.etcdRevision ?? null,
            proof: good.status?.validationResult?.proof ?? null,
            location: good.status?.snapshotLocation ?? null,
          },
    schedules:
      foundOf(schedules)?.map(({ metadata, spec, status }) => ({
        schedule: `${metadata.namespace ?? ''}/${metadata.name}`,
        when: spec.schedule,
        suspended: spec.suspend,
        next: status?.nextBackupTime ?? null,
        lastGood: status?.lastSuccessfulBackup ?? null,
        captured: status?.capture ?? null,
      })) ?? null,
  };
}

type Overview = ReturnType<typeof overviewOf>;

function overviewText(installation: Installation, overview: Overview, now: Date): string {
  const { leader, agents, running, lastGoodBackup: good, schedules } = overview;
  const agentTexts = agents?.map(
    ({ node, address, ready }) => `${node} (${address}${ready ? '' : ', NOT READY'})`,
  );
  return [
    fields([
      ['cluster', `${overview.cluster ?? '?'}, Kubernetes ${overview.kubernetes ?? '?'}`],
      ['leader', shown(installation.lease, leader === null || leader === '' ? 'NOBODY' : leader)],
      ['agents', shown(installation.pods, agentTexts?.length === 0 ? 'NONE' : agentTexts?.join(', '))],
      [
        'last good',
        shown(installation.backups, good === null ? 'NONE of the whole cluster' : goodText(good, now)),
      ],
      [
        'running',
        shown(
          installation.backups,
          running?.length === 0 ? 'nothing' : counted(running?.length ?? 0, 'backup'),
        ),
      ],
      [
        'schedules',
        shown(
          installation.schedules,
          schedules?.length === 0 ? 'none' : counted(schedules?.length ?? 0, 'schedule'),
        ),
      ],
    ]),
    ...(running ?? []).map(({ backup, phase }) => `  ${backup}: ${phase}\n`),
    schedules === null || schedules.length === 0
      ? ''
      : table(
          ['SCHEDULE', 'WHEN', 'NEXT', 'LAST GOOD', 'CAPTURED UP TO'],
          schedules.map(({ schedule, when, suspended, next, lastGood: last, captured }) => [
            ...[schedule, when, suspended ? 'SUSPENDED' : (next ?? ''), last ?? ''],
            captured?.time ?? '',
          ]),
        ),
  ].join('');
}

function goodText(good: NonNullable<Overview['lastGoodBackup']>, now: Date): string {
  const { backup, completedAt, proof } = good;
  const when = completedAt === null ? '' : `, ${age(new Date(completedAt), now)} ago`;
  return `${backup}${when}, proof ${proof ?? 'None'}`;
}

function shown(looked: Looked<unknown>, text: string | undefined): string {
  return 'found' in looked ? (text ?? '') : `could not look: ${looked.problem.message}`;
}

function nameOf({
  metadata,
}: {
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
