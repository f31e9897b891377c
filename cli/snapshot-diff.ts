import { Command } from 'commander';
import { openBoltFile } from '../lib/etcd/bolt/reader.ts';
import { diffStates, type KeyDifference } from '../lib/etcd/mvcc/diff.ts';
import { withPrefixes } from '../lib/etcd/mvcc/state-at.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { collect, parseCount, parseRevision } from './option-values.ts';
import { count, print } from './output.ts';
import { type StateFile, withPointFiles } from './point-files.ts';
import { reporting, withReportOptions, type Reporting, type ReportOptions } from './report-options.ts';
import { withRepositoryOptions, type RepositoryOptions } from './repository-options.ts';
import type { Session } from './session.ts';

interface DiffOptions extends RepositoryOptions, ReportOptions {
  readonly prefix: readonly string[];
  readonly revisionA?: string;
  readonly revisionB?: string;
  readonly fromPoint?: string;
  readonly toPoint?: string;
  readonly timeline?: string;
  readonly workDir?: string;
  readonly all?: boolean;
  readonly limit: string;
}

export function snapshotDiffCommand(session: Session): Command {
  const command = new Command('diff')
    .summary('which keys differ between two snapshot files, two revisions of one, or two restore points')
    .description(
      `Compares the keys alive in two states: added, removed, changed, each with its
revisions and sizes. Give one file with --revision-a and --revision-b to compare
two moments of its history, or no file but --from-point and --to-point to
compare two restore points of a store: those are fetched and merged first.
Values are compared, never printed.`,
    )
    .argument('[a]', 'the earlier snapshot file')
    .argument('[b]', 'the later one; left out: the same file')
    .option('--revision-a <revision>', 'the state of A at this revision instead of its newest')
    .option('--revision-b <revision>', 'the state of B at this revision instead of its newest')
    .option(
      '--from-point <point>',
      'the earlier restore point: a revision, a time (14:05, -15m), or "latest"',
    )
    .option('--to-point <point>', 'the later restore point')
    .option('--timeline <id>', 'of this timeline, not the newest that has them')
    .option(
      '--work-dir <dir>',
      'where points are merged, unencrypted (default: a folder for temporary files on a disk)',
    )
    .option(
      '--prefix <prefix>',
      'only keys that begin so, e.g. /registry/secrets/; may be repeated',
      collect,
      [],
    )
    .option('--all', 'also keys that were written again with the same value')
    .option('--limit <n>', 'list at most so many keys (the totals count all)', '1000');
  return withReportOptions(withRepositoryOptions(command)).action(
    async (a: string | undefined, b: string | undefined, options: DiffOptions) => {
      const report = reporting(session, options);
      const limit = parseCount(options.limit, '--limit', 0);
      const [from, to] = statesAsked(a, b, options);
      if (from.kind === 'file') {
        await diff(session, report, options, limit, from, to.kind === 'file' ? to : from);
        return;
      }
      await withPointFiles(
        session,
        options,
        report.progress,
        from.point,
        to.kind === 'point' ? to.point : '',
        (before, after) => diff(session, report, options, limit, before, after),
      );
    },
  );
}

async function diff(
  { terminal }: Session,
  report: Reporting,
  options: DiffOptions,
  limit: number,
  from: StateFile,
  to: StateFile,
): Promise<void> {
  await using before = await openBoltFile(from.path);
  await using after = await openBoltFile(to.path);
  const totals = { added: 0, removed: 0, changed: 0, rewritten: 0 };
  const listed: KeyDifference[] = [];
  const differences = diffStates(
    { file: before, revision: from.revision },
    { file: after, revision: to.revision },
    {
      select: options.prefix.length === 0 ? undefined : withPrefixes(options.prefix),
      signal: terminal.signal,
    },
  );
  for await (const difference of differences) {
    const rewritten = difference.kind === 'changed' && difference.sameValue;
    totals[rewritten ? 'rewritten' : difference.kind]++;
    if ((!rewritten || options.all === true) && listed.length < limit) listed.push(difference);
  }
  report.progress.end();
  const value = { ...totals, differences: listed.map(differenceValue) };
  print(terminal, report.format, value, () => diffText(totals, listed));
}

type StateAsked =
  ({ readonly kind: 'file' } & StateFile) | { readonly kind: 'point'; readonly point: string };

/** Two files, two revisions of one, or two points. */
function statesAsked(
  a: string | undefined,
  b: string | undefined,
  options: DiffOptions,
): [StateAsked, StateAsked] {
  const { fromPoint, toPoint } = options;
  const points = [fromPoint, toPoint].filter((one) => one !== undefined);
  if (a === undefined && fromPoint !== undefined && toPoint !== undefined) {
    return [
      { kind: 'point', point: fromPoint },
      { kind: 'point', point: toPoint },
    ];
  }
  if (a === undefined || points.length > 0) {
    throw new GuardianError('usage.point', 'what to compare is not clear', {
      hint: 'give one or two snapshot files, or --from-point and --to-point',
    });
  }
  return [
    { kind: 'file', path: a, revision: revision(options.revisionA, '--revision-a') },
    { kind: 'file', path: b ?? a, revision: revision(options.revisionB, '--revision-b') },
  ];
}

function revision(text: string | undefined, option: string): bigint | undefined {
  return text === undefined ? undefined : parseRevision(text, option);
}

function differenceValue(difference: KeyDifference): Readonly<Record<string, unknown>> {
  return { ...difference, key: keyText(difference.key) };
}

type Totals = Readonly<Record<'added' | 'removed' | 'changed' | 'rewritten', number>>;

function diffText(totals: Totals, listed: readonly KeyDifference[]): string {
  const rest = totals.added + totals.removed + totals.changed - listed.length;
  return (
    listed.map(line).join('') +
    (rest > 0 ? `… and ${count(rest)} more (--limit)\n` : '') +
    `${count(totals.added)} added, ${count(totals.removed)} removed, ${count(totals.changed)} changed, ${count(totals.rewritten)} written again unchanged\n`
  );
}

function line(difference: KeyDifference): string {
  const key = keyText(difference.key);
  switch (difference.kind) {
    case 'added':
      return `+ ${key}  (revision ${difference.after.modRevision}, ${difference.after.valueSize} bytes)\n`;
    case 'removed':
      return `- ${key}  (was revision ${difference.before.modRevision}, ${difference.before.valueSize} bytes)\n`;
    case 'changed': {
      const { before, after } = difference;
      const sizes =
        before.valueSize === after.valueSize
          ? `${after.valueSize}`
          : `${before.valueSize} → ${after.valueSize}`;
      return `${difference.sameValue ? '=' : '~'} ${key}  (revision ${before.modRevision} → ${after.modRevision}, ${sizes} bytes)\n`;
    }
  }
}

/** Keys are bytes; what a terminal can't show, or would obey, is escaped. */
function keyText(key: Buffer): string {
  return key.toString('utf8').replaceAll(/[\p{Cc}\p{Cf}\ufffd\\]/gu, (character) => {
    return character === '\\' ? '\\\\' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
