import type { Clock } from '../lib/clock.ts';
import type { Terminal } from './terminal.ts';

/** One run of the program, shared by its commands. */
export interface Session {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Set by a command that did its work and has bad news, e.g. an unsound file. */
  exitCode: number;
  /** What a person has to look at when the command ends now, because nobody here can know how it went. */
  doubt: string | undefined;
}
