import { Command } from 'commander';
import { Buffer } from 'node:buffer';
import { GuardianError } from '../lib/guardian-error.ts';
import { parseKey, resourceName } from '../lib/keyspace/parse-key.ts';
import type { Hole } from '../lib/repository/point-spans.ts';
import type { TimelinePoints } from '../lib/repository/points.ts';
import { EXIT_CODES } from './exit-code.ts';
import { collectHistory, type KeyHistory } from './key-history.ts';
import { type KeyVersion, valuesText, versionsText, versionValue } from './key-versions-text.ts';
import { parseMoment } from './moment.ts';
import { parseCount } from './option-values.ts';
import { count, print } from './output.ts';
import { instant, spanValue } from './point-spans-text.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';

interface GetOptions extends RepositoryOptions, ReportOptions {
  readonly at?: string;
  readonly values?: boolean;
  readonly limit: string;
  readonly timeline?: string;
  readonly bases: boolean;
  readonly workDir?: string;
}

export function historyGetCommand(session: Session): Command {
  const command = new Command('get')
    .summary('every version of one key, with times: what was it at 14:05, when was it deleted?')
    .description(
      `Lists what became of one key, the oldest change first: each put and deletion
with its revision and the time at which it was seen, its size, and which object
it held. Looks into every captured segment, and into the base before them where
the key is older than those (its whole database is fetched for that; --no-bases
saves it).

  etcdguardian history get /registry/secrets/shop/db-password \\
    --at 14:05 --values

Who did it isn't in etcd: the times are what to look for in the audit log of the
API servers. Values that Kubernetes encrypted at rest are shown as they are
stored. The state before a change is had back with "restore --to-revision".`,
    )
    .argument(
      '<key>',
      "the key as etcd has it, e.g. /registry/secrets/NAMESPACE/NAME; hex:… for one that isn't text",
    )
    .option('--at <time>', 'only the version that was there at this time: RFC 3339, 14:05, or -15m')
    .option('--values', 'print the values, too (secrets among them)')
    .option('--limit <n>', 'only the newest so many versions', '1000')
    .option('--timeline <id>', 'of this timeline, not the newest; see "points list --all"')
    .option('--no-bases', 'only what was captured: fetch no base')
    .option(
      '--work-dir <dir>',
      'where a base is kept meanwhile (default: a folder for temporary files on a disk)',
    );
  return withReportOptions(withRepositoryOptions(command)).action(
    async (name: string, options: GetOptions) => {
      const { terminal, clock } = session;
      const { signal } = terminal;
      const report = reporting(session, options);
      const at = options.at === undefined ? undefined : parseMoment(options.at, clock(), '--at');
      const limit = parseCount(options.limit, '--limit');
      const key = keyNamed(name);
      const { repository } = await openRepositoryWith(session, options, report.progress);
      const cluster = await theCluster(repository, options, terminal);
      const timeline = timelineAsked(
        await repository.points.list(cluster, { signal }),
        cluster,
        options.timeline,
      );
      const history = await collectHistory(repository, cluster, timeline, key, {
        ...{ at, limit, keepValues: options.values === true, bases: options.bases },
        ...{ workDir: options.workDir, progress: report.progress, signal },
      });
      const shown = at === undefined ? history : versionAt(history, at);
      const value = {
        ...{ key: name, cluster, timeline: timeline.timeline.timeline, at: at ?? null },
        versions: shown.versions.map(versionValue),
        ...{ holes: shown.holes.map(spanValue), complete: shown.complete },
      };
      print(terminal, report.format, value, () => historyText(name, key, shown, at, options.values === true));
      if (shown.versions.length === 0) session.exitCode = EXIT_CODES.notFound;
    },
  );
}

function keyNamed(name: string): Buffer {
  if (!name.startsWith('hex:')) return Buffer.from(name);
  const digits = name.slice(4);
  if (/^([0-9a-fA-F]{2})+$/.test(digits)) return Buffer.from(digits, 'hex');
  throw new GuardianError('usage.key', `"${name}" is not a key in hex`, {
    hint: 'write two hexadecimal digits for each byte behind "hex:"',
  });
}

function timelineAsked(
  listed: readonly TimelinePoints[],
  cluster: string,
  asked: string | undefined,
): TimelinePoints {
  const found =
    asked === undefined
      ? listed.find(({ spans }) => spans.length > 0)
      : listed.find(({ timeline }) => timeline.timeline === asked);
  if (found !== undefined) return found;
  throw new GuardianError(
    'repository.not-found',
    asked === undefined
      ? `nothing of cluster ${cluster} is stored`
      : `cluster ${cluster} has no timeline ${asked}`,
    { hint: 'see what there is with "etcdguardian points list --all"' },
  );
}

/** The last version up to a moment, alone. */
function versionAt(history: KeyHistory, at: Date): KeyHistory {
  const versions = history.versions
    .filter(({ seenAt, knownBy }) => (seenAt ?? knownBy ?? at) <= at)
    .slice(-1);
  return { ...history, versions };
}

function historyText(
  name: string,
  key: Buffer,
  { versions, holes, complete, left }: KeyHistory,
  at: Date | undefined,
  values: boolean,
): string {
  const object = parseKey(key.toString('utf8'));
  const where = object?.namespace === undefined ? '' : `${object.namespace}/`;
  const what = object === undefined ? '' : `  (${resourceName(object)} ${where}${object.name})`;
  if (versions.length === 0) {
    const when = at === undefined ? '' : ` up to ${at.toISOString()}`;
    const advice = complete
      ? ''
      : ' (only what was captured was looked at; without --no-bases bases are, too)';
    return `${name}${what}: nothing is known of it${when}${advice}\n${holesText(holes)}`;
  }
  const moment = at === undefined ? '' : ` at ${at.toISOString()}`;
  return (
    `${name}${what}${moment}\n` +
    (left > 0 ? `… ${count(left)} older versions (--limit)\n` : '') +
    versionsText(versions) +
    holesText(holes) +
    afterwards(versions) +
    (values ? valuesText(versions) : '')
  );
}

/** What may have happened without anyone seeing it. */
function holesText(holes: readonly Hole[]): string {
  return holes
    .map(
      ({ first, last, reason }) =>
        `>>> revisions ${count(first)} to ${count(last)} are not known: ${reason}\n`,
    )
    .join('');
}

function afterwards(versions: readonly KeyVersion[]): string {
  const last = versions.at(-1);
  if (last?.what !== 'deleted') return '';
  const when =
    last.seenAt === undefined
      ? ''
      : ` Who did it, the API servers' audit log of ${instant(last.seenAt)} may say.`;
  return `It is gone since revision ${count(last.revision)}: "restore --to-revision ${last.revision - 1n}" has it back.${when}\n`;
}
