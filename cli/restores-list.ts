import { Command } from 'commander';
import type { RestoreRecord } from '../lib/repository/restore-record.ts';
import { exitCodeOf } from './exit-code.ts';
import { age, count, print, table } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

type ListOptions = RepositoryOptions & ReportOptions;

export function restoresListCommand(session: Session): Command {
  const command = new Command('list')
    .summary('which restores of a cluster were begun, by whom, and which members were made')
    .description(
      `Lists the records that restores leave in the store, newest first. The members of
one restore make one cluster; which of them were made already is what keeps a
second restore apart from the first. A record that can't be trusted is told.`,
    );
  return withReportOptions(withRepositoryOptions(command)).action(async (options: ListOptions) => {
    const { terminal } = session;
    const report = reporting(session, options);
    const { repository, location } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const { records, problems } = await repository.listRestores(cluster, { signal: terminal.signal });
    for (const problem of problems) report.progress.say(`warning: ${problem.message} [${problem.code}]`);
    const newestFirst = records.toReversed();
    print(
      terminal,
      report.format,
      {
        restores: newestFirst.map(restoreValue),
        problems: problems.map(({ code, message }) => ({ code, message })),
      },
      () => listText(newestFirst, cluster, location, session.clock()),
    );
    const [problem] = problems;
    if (problem !== undefined && records.length === 0) session.exitCode = exitCodeOf(problem);
  });
}

function restoreValue(record: RestoreRecord): Readonly<Record<string, unknown>> {
  const { claimed, members, etcdClusterId, bumpTo, ...rest } = record;
  return {
    ...rest,
    etcdClusterId: etcdClusterId.toString(16),
    firstRevision: bumpTo ?? null,
    members: members.map((member) => ({ ...member, made: claimed.includes(member.name) })),
  };
}

function listText(records: readonly RestoreRecord[], cluster: string, location: string, now: Date): string {
  if (records.length === 0) return `no restores of cluster ${cluster} are recorded in ${location}\n`;
  const rows = records.map((record) => [
    String(record.number),
    record.begunAt.toISOString(),
    age(record.begunAt, now),
    record.backup,
    record.bumpTo === undefined ? 'as backed up' : count(record.bumpTo),
    record.etcdClusterId.toString(16),
    record.by,
    membersText(record),
  ]);
  return table(
    ['NUMBER', 'BEGUN', 'AGE', 'BACKUP', 'FIRST REVISION', 'CLUSTER ID', 'BY', 'MEMBERS MADE'],
    rows,
  );
}

/** `2 of 3: m1, m2; not m3`. */
function membersText({ members, claimed }: RestoreRecord): string {
  const missing = members.map(({ name }) => name).filter((name) => !claimed.includes(name));
  const made = `${claimed.length} of ${members.length}`;
  const parts = [claimed.join(', '), missing.length === 0 ? '' : `not ${missing.join(', ')}`];
  return `${made}: ${parts.filter((part) => part !== '').join('; ')}`;
}
