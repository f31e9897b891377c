import { type Command, Option } from 'commander';
import type { Clock } from '../lib/clock.ts';
import type { PointQuery } from '../lib/repository/choose-point.ts';
import type { PointProgress } from '../lib/repository/write-restore-point.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { parseMoment } from './moment.ts';
import { type DifferingHash, type HashJudgement, textOf } from '../lib/repository/kept-hashes.ts';
import { collect, parseRevision } from './option-values.ts';
import type { Transfer } from './progress-line.ts';

export interface PointOptions {
  readonly toRevision?: string;
  readonly toTime?: string;
  readonly timeline?: string;
}

/** Adds the options that name a restore point. */
export function withPointOptions(command: Command): Command {
  return command
    .addOption(new Option('--to-revision <revision>', 'the state at this very revision').conflicts('toTime'))
    .option(
      '--to-time <time>',
      'the state at this time: 2026-11-22T14:05:00Z, 14:05 (the last time it was that here), or -15m',
    )
    .option('--timeline <id>', 'of this timeline, not the newest that has it; see "points list"');
}

/** Adds the option that disregards a proof. */
export function withAcceptedMismatches(command: Command): Command {
  return command.option(
    '--accept-hash-mismatch <revision>',
    'go on although a member had kept another hash at this very revision, as the refusal names it; may be repeated',
    collect,
    [],
  );
}

export interface AcceptOptions {
  readonly acceptHashMismatch: readonly string[];
}

export function acceptedMismatches({ acceptHashMismatch }: AcceptOptions): bigint[] {
  return acceptHashMismatch.map((revision) => parseRevision(revision, '--accept-hash-mismatch'));
}

/** What is to be said of hashes that members had kept, one sentence each. */
export function hashWarnings({ outvoted, disregarded }: HashJudgement): string[] {
  return [
    ...outvoted.map((hash) => `${textOf(hash)}; most members had what is restored: replace that member`),
    ...disregarded.map((hash) => `${textOf(hash)}; disregarded, as asked`),
  ];
}

/** What was disregarded, for reports that programs read. */
export function differingValue({
  revision,
  hash,
  found,
  memberId,
  segment,
}: DifferingHash): Readonly<Record<string, unknown>> {
  return { revision, hash, found, memberId: memberId.toString(16), segment: segment.name };
}

/** Undefined when no point was asked for. */
export function pointQuery({ toRevision, toTime }: PointOptions, clock: Clock): PointQuery | undefined {
  if (toRevision !== undefined) {
    return { kind: 'revision', revision: parseRevision(toRevision, '--to-revision') };
  }
  if (toTime !== undefined) return { kind: 'time', time: parseMoment(toTime, clock(), '--to-time') };
  return undefined;
}

/** A point named by an argument: `latest`, a revision, or a time. */
export function pointNamed(text: string, clock: Clock, what: string): PointQuery {
  if (text === 'latest') return { kind: 'latest' };
  if (/^\d+$/.test(text)) return { kind: 'revision', revision: parseRevision(text, what) };
  try {
    return { kind: 'time', time: parseMoment(text, clock(), what) };
  } catch (error) {
    if (!(error instanceof GuardianError) || error.code === 'usage.duration') throw error;
    throw new GuardianError('usage.point', `${what}: "${text}" is neither a revision nor a time`, {
      hint: 'name a point like 84707, latest, 2026-11-22T14:05:00Z, 14:05 or -15m',
      cause: error,
    });
  }
}

/** The making of a restore point's file, as progress. */
export function pointTransfer({ step, done, total }: PointProgress): Transfer {
  return { label: step, done, total, unit: step === 'merging' ? 'revisions' : 'bytes' };
}
