import type { Clock } from '../lib/clock.ts';
import { bytes, count, duration } from './output.ts';
import type { Terminal } from './terminal.ts';
import { visibleText } from '../lib/visible-text.ts';

/** How far a transfer is. `total` is left out where nobody knows it. */
export interface Transfer {
  readonly label: string;
  readonly done: number;
  readonly total?: number | undefined;
  /** What is counted. Default bytes. */
  readonly unit?: 'bytes' | 'revisions' | undefined;
}

/**
 * Shows progress on stderr: a line that redraws itself, with rate and time left, where a person watches; elsewhere a
 * plain line every ten seconds, so that a log stays readable. Steps that are sooner done show nothing. Nothing at all
 * when `quiet`.
 */
export class ProgressLine {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #quiet: boolean;
  #label = '';
  #startedAt = 0;
  #shownAt = 0;
  #drawn = false;

  constructor(terminal: Terminal, clock: Clock, options: { readonly quiet: boolean }) {
    this.#terminal = terminal;
    this.#clock = clock;
    this.#quiet = options.quiet;
  }

  /** A step that has no length, or a remark worth a line of its own. */
  say(text: string): void {
    if (this.#quiet) return;
    this.#erase();
    this.#terminal.stderr.write(`${visibleText(text)}\n`);
  }

  update(transfer: Transfer): void {
    if (this.#quiet) return;
    const now = this.#clock().getTime();
    if (transfer.label !== this.#label) {
      this.#label = transfer.label;
      this.#startedAt = now;
      this.#shownAt = now;
    }
    const watched = this.#terminal.stderr.isTTY === true;
    if (now - this.#shownAt < (watched ? REDRAW_INTERVAL_MS : QUIET_INTERVAL_MS)) return;
    this.#shownAt = now;
    const text = transferText(transfer, now - this.#startedAt);
    if (!watched) {
      this.#terminal.stderr.write(`${text}\n`);
      return;
    }
    this.#terminal.stderr.write(`\r\u001b[K${text.slice(0, (this.#terminal.stderr.columns ?? 80) - 1)}`);
    this.#drawn = true;
  }

  /** Removes the line that redraws itself; to be called before anything else is printed. */
  end(): void {
    this.#erase();
  }

  #erase(): void {
    if (this.#drawn) this.#terminal.stderr.write('\r\u001b[K');
    this.#drawn = false;
  }
}

const REDRAW_INTERVAL_MS = 200;
const QUIET_INTERVAL_MS = 10_000;

/** One line of text: what, how much, how fast, how long still. */
export function transferText(transfer: Transfer, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? (transfer.done / elapsedMs) * 1000 : 0;
  const parts = [transfer.label];
  const amount = transfer.unit === 'revisions' ? (value: number) => count(Math.round(value)) : bytes;
  if (transfer.total !== undefined && transfer.total > 0) {
    const share = Math.min(1, transfer.done / transfer.total);
    parts.push(
      `${(share * 100).toFixed(0).padStart(3)}%  ${amount(transfer.done)} of ${amount(transfer.total)}`,
    );
    const left = Math.max(0, transfer.total - transfer.done);
    if (rate > 0) parts.push(`${amount(rate)}/s`, `${duration((left / rate) * 1000)} left`);
  } else {
    parts.push(amount(transfer.done));
    if (rate > 0) parts.push(`${amount(rate)}/s`);
  }
  return parts.join('  ');
}
