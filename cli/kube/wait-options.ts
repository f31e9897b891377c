import type { Command } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import { parseDuration } from '../option-values.ts';
import type { ProgressLine } from '../progress-line.ts';

export interface WaitOptions {
  readonly timeout?: string;
}

export function withWaitOptions(command: Command): Command {
  return command.option('--timeout <duration>', 'give up waiting after so long; the work goes on');
}

/** Ends with the program's signal, or when the time is over. */
export function waitingSignal(signal: AbortSignal, { timeout }: WaitOptions, what: string): AbortSignal {
  if (timeout === undefined) return signal;
  const over = new AbortController();
  const timer = setTimeout(
    () => {
      over.abort(
        new GuardianError('kubernetes.not-yet', `${what} has not ended within ${timeout}; it goes on`, {
          hint: 'Wait again with the command "wait", or look with "show".',
          retryable: true,
        }),
      );
    },
    parseDuration(timeout, '--timeout', 1),
  );
  timer.unref();
  return AbortSignal.any([signal, over.signal]);
}

/** Tells that nobody answers, and that somebody does again. */
export function tellAway(progress: ProgressLine, what: string): (error: GuardianError | undefined) => void {
  return (error) => {
    progress.say(
      error === undefined
        ? 'the API server answers again'
        : `the API server doesn't answer (${error.message}); ${what}`,
    );
  };
}
