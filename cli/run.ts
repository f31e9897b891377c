import { CommanderError } from 'commander';
import type { Clock } from '../lib/clock.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { placesOf } from './commands.ts';
import { EXIT_CODES, exitCodeOf } from './exit-code.ts';
import { buildProgram } from './program.ts';
import type { Session } from './session.ts';
import type { Terminal } from './terminal.ts';
import { visibleText } from '../lib/visible-text.ts';

/** Runs one command line; resolves to the exit status. Nothing is thrown: what failed is told on stderr. */
export async function run(args: readonly string[], terminal: Terminal, clock: Clock): Promise<number> {
  const session: Session = { terminal, clock, exitCode: EXIT_CODES.ok, doubt: undefined };
  try {
    const program = await buildProgram(session, args);
    await program.parseAsync(args, { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === 'commander.unknownCommand') terminal.stderr.write(elsewhereText(args[0] ?? ''));
      return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
    }
    // A progress line may stand there still.
    if (terminal.stderr.isTTY === true) terminal.stderr.write('\r\u001b[K');
    if (terminal.signal.aborted) {
      terminal.stderr.write(`etcdguardian: interrupted; ${session.doubt ?? 'nothing half-done is listed'}\n`);
      return EXIT_CODES.interrupted;
    }
    terminal.stderr.write(failureText(error));
    if (session.doubt !== undefined) terminal.stderr.write(`  mind: ${session.doubt}\n`);
    return exitCodeOf(error);
  }
}

/** Who types the end of a command alone, as in `doctor`, reads the whole of it. */
function elsewhereText(name: string): string {
  return placesOf(name)
    .map((place) => `(there is: etcdguardian ${place})\n`)
    .join('');
}

/** What failed, why, and what to do; a stack only for what nobody foresaw. */
export function failureText(error: unknown): string {
  if (!(error instanceof GuardianError)) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `etcdguardian: this is a defect in etcdguardian itself, please report it:\n${detail}\n`;
  }
  const hint = error.hint === undefined ? '' : `  what to do: ${error.hint}\n`;
  return visibleText(`etcdguardian: ${error.message} [${error.code}]\n${causes(error)}${hint}`);
}

function causes(error: GuardianError): string {
  let text = '';
  let shown = error.message;
  for (
    let cause = error.cause, depth = 0;
    cause instanceof Error && depth < 4;
    cause = cause.cause, depth++
  ) {
    if (shown.includes(cause.message)) continue;
    text += `  because: ${cause.message}\n`;
    shown = cause.message;
  }
  return text;
}
