import { Command } from 'commander';
import type { ChainPlace } from '../lib/repository/chain.ts';
import { parseCount } from './option-values.ts';
import { count, print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import {
  openRepositoryWith,
  theCluster,
  withRepositoryOptions,
  type RepositoryOptions,
} from './repository-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

interface UndeleteOptions extends RepositoryOptions, ReportOptions {
  readonly trim?: string;
}

/** What of a chain is there again. */
interface Returned {
  readonly chain: ChainPlace;
  readonly ranges: readonly { readonly from: bigint; readonly to: bigint }[];
}

export function pointsUndeleteCommand(session: Session): Command {
  const command = new Command('undelete')
    .summary('bring captured segments back that "backup prune" removed, within 24 hours')
    .description(
      `Has everything back that was removed of the captured segments and not deleted by
a sweep yet. A base that was removed with them is brought back with "backup
undelete".`,
    )
    .option('--trim <number>', 'only what this removal took, by its number in each chain');
  return withReportOptions(withRepositoryOptions(command)).action(async (options: UndeleteOptions) => {
    const { terminal } = session;
    const { signal } = terminal;
    const report = reporting(session, options);
    const trim = options.trim === undefined ? undefined : parseCount(options.trim, '--trim');
    const { repository } = await openRepositoryWith(session, options, report.progress);
    const cluster = await theCluster(repository, options, terminal);
    const returned: Returned[] = [];
    for (const { timeline } of await repository.listTimelines(cluster, { signal })) {
      for (const chain of await repository.segments.chains(cluster, timeline, { signal })) {
        const before = await repository.points.trims(chain, { signal });
        const after = await repository.points.undoTrim(chain, trim, { by: userName() }, { signal });
        const ranges = before.trimmed.filter((one) => !after.trimmed.some(({ from }) => from === one.from));
        if (ranges.length > 0) returned.push({ chain, ranges: ranges.map(({ from, to }) => ({ from, to })) });
      }
    }
    const value = returned.map(({ chain: { id, timeline }, ranges }) => ({ chain: id, timeline, ranges }));
    print(terminal, report.format, { cluster, returned: value }, () => returnedText(cluster, returned));
  });
}

function returnedText(cluster: string, returned: readonly Returned[]): string {
  if (returned.length === 0)
    return `nothing that was captured of cluster ${cluster} is removed and can be had back\n`;
  return returned
    .flatMap(({ chain, ranges }) =>
      ranges.map(
        ({ from, to }) =>
          `back: segments of chain ${chain.id} from revision ${count(from)} to below ${count(to)}\n`,
      ),
    )
    .join('');
}
