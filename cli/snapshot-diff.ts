import { Command } from 'commander';
import { openBoltFile } from '../lib/etcd/bolt/reader.ts';
import { diffStates, type KeyDifference } from '../lib/etcd/mvcc/diff.ts';
import { withPrefixes } from '../lib/etcd/mvcc/state-at.ts';
import { collect, parseCount, parseRevision } from './option-values.ts';
import { count, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import { type Session } from './session.ts';

interface DiffOptions extends ReportOptions {
  readonly prefix: readonly string[];
  readonly revisionA?: string;
  readonly revisionB?: string;
  readonly all?: boolean;
  readonly limit: string;
}

export function snapshotDiffCommand(session: Session): Command {
  const command = new Command('diff')
    .summary('which keys differ between two snapshot files, or two revisions of one')
    .description(
      `Compares the keys alive in two states: added, removed, changed, each with its revisions and sizes. Give one file with
--revision-a and --revision-b to compare two moments of its history. Values are compared, never printed.`,
    )
    .argument('<a>', 'the earlier snapshot file')
    .argument('[b]', 'the later one; left out: the same file')
    .option('--revision-a <revision>', 'the state of A at this revision instead of its newest')
    .option('--revision-b <revision>', 'the state of B at this revision instead of its newest')
    .option(
      '--prefix <prefix>',
      'only keys that begin so, e.g. /registry/secrets/; may be repeated',
      collect,
      [],
    )
    .option('--all', 'also keys that were written again with the same value')
    .option('--limit <n>', 'list at most so many keys (the totals count all)', '1000');
  return withReportOptions(command).action(async (a: string, b: string | undefined, options: DiffOptions) => {
    const { terminal } = session;
    const report = reporting(session, options);
    const limit = parseCount(options.limit, '--limit', 0);
    await using before = await openBoltFile(a);
    await using after = await openBoltFile(b ?? a);
    const totals = { added: 0, removed: 0, changed: 0, rewritten: 0 };
    const listed: KeyDifference[] = [];
    const differences = diffStates(
      { file: before, revision: revision(options.revisionA, '--revision-a') },
      { file: after, revision: revision(options.revisionB, '--revision-b') },
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
    const value = { ...totals, differences: listed.map(differenceValue) };
    print(terminal, report.format, value, () => diffText(totals, listed));
  });
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
