import { Command } from 'commander';
import type { TimelinePoints } from '../lib/repository/points.ts';
import { doubtsText, doubtValue } from './doubtful-times-text.ts';
import { EXIT_CODES } from './exit-code.ts';
import { parseCount } from './option-values.ts';
import { print } from './output.ts';
import { instant, spansText, spanValue } from './point-spans-text.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface ListOptions extends RepositoryOptions, ReportOptions {
  readonly limit: string;
  readonly all?: boolean;
}

export function pointsListCommand(session: Session): Command {
  const command = new Command('list')
    .summary('which revisions and times can be restored, and where the gaps are')
    .description(
      `Draws what can be restored, the newest first: every revision of a line marked
"ok" can be had back, by revision or by time; a line marked ">>>" says what
can't, and why, one marked "???" that it can't be had by time, since a clock was
wrong. Reads the head of every segment; needs no decryption key. Only the newest
timeline is shown, unless --all: a timeline ends where the cluster was restored
or built anew.`,
    )
    .option('--limit <n>', 'show at most so many lines of a timeline', '40')
    .option('-a, --all', 'also older timelines');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: ListOptions) => {
    const { terminal, clock } = session;
    const report = reporting(session, options);
    const limit = parseCount(options.limit, '--limit');
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const listed = await repository.points.list(cluster, { signal: terminal.signal });
    const shown = options.all === true ? listed : listed.slice(0, 1);
    for (const { problems } of shown) {
      for (const problem of problems) report.progress.say(`warning: ${problem.message} [${problem.code}]`);
    }
    const value = { cluster, timelines: shown.map(timelineValue) };
    print(terminal, report.format, value, () => listText(cluster, shown, listed.length, limit, clock()));
    if (!listed.some(({ spans }) => spans.some(({ kind }) => kind === 'range'))) {
      session.exitCode = listed.some(({ unusable }) => unusable.length > 0)
        ? EXIT_CODES.unsound
        : EXIT_CODES.notFound;
    }
  });
}

function timelineValue(points: TimelinePoints): Readonly<Record<string, unknown>> {
  const { timeline, endedAt, spans, doubtful, unusable, problems } = points;
  return {
    timeline: timeline.timeline,
    begunAt: timeline.state === 'sound' ? timeline.begunAt : null,
    reason: timeline.state === 'sound' ? timeline.reason : null,
    endedAt: endedAt ?? null,
    spans: spans.map(spanValue),
    doubtfulTimes: doubtful.map(doubtValue),
    unusable: unusable.map(({ id }) => id),
    problems: problems.map(({ code, message }) => ({ code, message })),
  };
}

function listText(
  cluster: string,
  shown: readonly TimelinePoints[],
  all: number,
  limit: number,
  now: Date,
): string {
  if (shown.length === 0) return `nothing of cluster ${cluster} can be restored: there are no backups\n`;
  const older = all - shown.length;
  return (
    shown.map((points) => timelineText(cluster, points, limit, now)).join('\n') +
    (older > 0 ? `\n${older} older ${older === 1 ? 'timeline is' : 'timelines are'} shown with --all\n` : '')
  );
}

function timelineText(cluster: string, points: TimelinePoints, limit: number, now: Date): string {
  const { timeline, endedAt, spans, doubtful, unusable } = points;
  const begun = timeline.state === 'sound' ? `, begun ${instant(timeline.begunAt)}: ${timeline.reason}` : '';
  const ended = endedAt === undefined ? '' : `, ended ${instant(endedAt)}`;
  const passedOver = unusable.map(({ id }) => `   backup ${id} can't be used: see "backup list"\n`).join('');
  return `cluster ${cluster}, timeline ${timeline.timeline}${begun}${ended}\n${spansText(spans, limit, now)}${doubtsText(doubtful, limit)}${passedOver}`;
}
