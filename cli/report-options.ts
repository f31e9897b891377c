import { type Command, Option } from 'commander';
import { OUTPUT_FORMATS, parseOutputFormat, type OutputFormat } from './output.ts';
import { ProgressLine } from './progress-line.ts';
import type { Session } from './session.ts';

export interface ReportOptions {
  readonly output?: string;
  readonly quiet?: boolean;
}

/** Adds the options that say how a command tells its result. */
export function withReportOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-o, --output <format>', 'how to print the result').choices(OUTPUT_FORMATS).default('table'),
    )
    .option('-q, --quiet', 'say nothing but the result and what failed');
}

export interface Reporting {
  readonly format: OutputFormat;
  readonly progress: ProgressLine;
}

export function reporting(session: Session, options: ReportOptions): Reporting {
  return {
    format: parseOutputFormat(options.output ?? 'table'),
    progress: new ProgressLine(session.terminal, session.clock, { quiet: options.quiet === true }),
  };
}
