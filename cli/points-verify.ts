import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import type { ChainReport } from '../lib/repository/chain-report.ts';
import type { Repository } from '../lib/repository/repository.ts';
import { EXIT_CODES } from './exit-code.ts';
import { bytes, count, counted, print } from './output.ts';
import { problemLines } from './problem-lines.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { diskFolder } from './spool-options.ts';

interface VerifyOptions extends RepositoryOptions, ReportOptions {
  readonly deep?: boolean;
  readonly merge: boolean;
  readonly workDir?: string;
  readonly timeline?: string;
}

export function pointsVerifyCommand(session: Session): Command {
  const command = new Command('verify')
    .summary('check everything that was captured: links, revisions, every segment')
    .description(
      `Without --deep: signatures, the hashes that link each segment to the one before,
revisions without a hole, size and sha256 of every segment as stored; needs no
decryption key. With --deep: also decrypts and decodes every segment, merges
each base with all that was captured behind it, and compares the outcome with
the hashes that members had kept and with later bases: what passes can be
restored. Bases alone are checked with "backup verify".`,
    )
    .option('--deep', 'open every segment and merge them as well')
    .option('--no-merge', 'with --deep: open every segment, but merge nothing')
    .option(
      '--work-dir <dir>',
      'where databases are merged, unencrypted (default: a folder for temporary files on a disk)',
    )
    .option('--timeline <id>', 'this timeline, not the newest; see "points list --all"');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: VerifyOptions) => {
    const { terminal } = session;
    const { signal } = terminal;
    const report = reporting(session, options);
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const timeline = options.timeline ?? (await newestTimeline(repository, cluster, signal));
    const deep = options.deep === true;
    const mergeIn = deep && options.merge ? (options.workDir ?? (await diskFolder())) : undefined;
    const chains = await repository.segments.chains(cluster, timeline, { signal });
    if (chains.length === 0) {
      throw new GuardianError(
        'repository.not-found',
        `nothing was captured on timeline ${timeline} of ${cluster}`,
        {
          hint: 'backups are checked with "etcdguardian backup verify"; see "points list --all" for other timelines',
        },
      );
    }
    const verified: ChainReport[] = [];
    for (const chain of chains) {
      const one = await repository.verifyChain(chain, {
        ...{ depth: deep ? 'deep' : 'stored', mergeIn, signal },
        onProgress: (done, total) => {
          report.progress.update({ label: `verifying chain ${chain.id}`, done, total });
        },
      });
      verified.push(one);
    }
    report.progress.end();
    const sound = verified.every((one) => one.sound);
    print(terminal, report.format, { cluster, timeline, sound, chains: verified }, () =>
      verified.map(chainText).join(''),
    );
    if (!sound) session.exitCode = EXIT_CODES.unsound;
  });
}

async function newestTimeline(repository: Repository, cluster: string, signal: AbortSignal): Promise<string> {
  const [newest] = await repository.listTimelines(cluster, { signal });
  if (newest !== undefined) return newest.timeline;
  throw new GuardianError('repository.not-found', `nothing of cluster ${cluster} is stored`, {
    hint: 'check --cluster and the prefix of --store',
  });
}

function chainText(report: ChainReport): string {
  const { id, timeline, sound, depth, segments, storedBytes, plainBytes, merged } = report;
  const checked =
    depth === 'deep'
      ? `${bytes(storedBytes)} stored, ${bytes(plainBytes)} of entries read`
      : `${bytes(storedBytes)} as stored (--deep also opens them)`;
  return (
    `chain ${id} of timeline ${timeline} is ${sound ? 'sound' : 'NOT sound'}: ${counted(segments, 'segment')}, ${checked}\n` +
    merged
      .map(({ base, from, to, keptHashes, bases }) => {
        const equal = `equal to ${count(keptHashes)} hashes that members had kept and to ${count(bases.length)} later bases`;
        return `  merged: backup ${base} and revisions ${count(from + 1n)} to ${count(to)}; ${equal}\n`;
      })
      .join('') +
    problemLines(report)
  );
}
