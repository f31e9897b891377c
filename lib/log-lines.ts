import type { Clock } from './clock.ts';
import { GuardianError, reasonOf } from './guardian-error.ts';
import { visibleText } from './visible-text.ts';

/** Where lines go, e.g. `process.stderr`. */
export interface LogOutput {
  write(text: string): unknown;
}

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
export type LogLevel = 'info' | 'warning' | 'error';

/** What a line says beside its message, for machines; 64-bit numbers become strings, times RFC 3339. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a long-running command tells, one line each: a sentence for a person, or an object of JSON for a collector. */
export class LogLines {
  readonly #output: LogOutput;
  readonly #clock: Clock;
  readonly #format: LogFormat;

  constructor(output: LogOutput, clock: Clock, format: LogFormat) {
    this.#output = output;
    this.#clock = clock;
    this.#format = format;
  }

  /** `event` names what happened, the same in every version, e.g. `segment-stored`. */
  write(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    const time = this.#clock().toISOString();
    const mark = level === 'info' ? '' : `${level.toUpperCase()}: `;
    const line =
      this.#format === 'json'
        ? JSON.stringify({ time, level, event, message, ...fields }, plain)
        : `${time} ${mark}${visibleText(message).replaceAll('\n', ' ')}`;
    this.#output.write(`${line}\n`);
  }
}

/** An error in one line: what failed, why, and what to do. */
export function errorText(error: unknown): string {
  if (!(error instanceof GuardianError)) return reasonOf(error);
  const hint = error.hint === undefined ? '' : ` — ${error.hint}`;
  return `${error.message} [${error.code}]${hint}`;
}

/** The same for machines. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof GuardianError)) return { error: reasonOf(error) };
  return { code: error.code, error: error.message, hint: error.hint, retryable: error.retryable };
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
