import type { VerifyReport } from '../lib/repository/repository.ts';
import type { VerifyProblem } from '../lib/repository/verify-problem.ts';

/** What a check found wrong, and what only deserves a look: a line each, with what to do. */
export function problemLines({ problems, warnings }: Pick<VerifyReport, 'problems' | 'warnings'>): string {
  return lines('problem', problems) + lines('warning', warnings);
}

function lines(kind: string, problems: readonly VerifyProblem[]): string {
  return problems
    .map(
      ({ code, message, object, hint }) =>
        `  ${kind} ${code} in ${object}: ${message}${hint === undefined ? '' : `\n    what to do: ${hint}`}\n`,
    )
    .join('');
}
