import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { GuardianError } from '../lib/guardian-error.ts';
import type { Terminal } from './terminal.ts';
import { visibleText } from '../lib/visible-text.ts';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/**
 * Prints one result. JSON and YAML print `value` (64-bit numbers as strings, times as RFC 3339), `table` prints what
 * `human` returns. Exactly one document goes to stdout; everything else a command says goes to stderr.
 */
export function print(terminal: Terminal, format: OutputFormat, value: unknown, human: () => string): void {
  const text =
    format === 'table'
      ? visibleText(human())
      : format === 'json'
        ? JSON.stringify(value, plain, 2)
        : yaml().stringify(JSON.parse(JSON.stringify(value, plain)));
  terminal.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Loaded by who asks for it: it takes 7 MB, and a capture runs for months. */
function yaml(): typeof Yaml {
  return createRequire(import.meta.url)('yaml') as typeof Yaml;
}

export function parseOutputFormat(text: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((known) => known === text);
  if (format === undefined) {
    throw new GuardianError('usage.output', `unknown output format "${text}"`, {
      hint: `use one of ${OUTPUT_FORMATS.join(', ')}`,
    });
  }
  return format;
}

/** Rows under a header, columns aligned; an empty list still shows its header. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), ...rows.map(line)].join('\n') + '\n';
}

/** `label: value` lines with the values aligned; entries whose value is undefined are left out. */
export function fields(entries: readonly (readonly [label: string, value: string | undefined])[]): string {
  const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width + 2)}${value}\n`).join('');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for a person: `3.1 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  // What would be rounded up to the next unit is shown in it.
  while (Math.round(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** A duration for a person: `850 ms`, `12.4 s`, `3 min 20 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  const tenths = Math.round(milliseconds / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long ago, coarse: `4m`, `3h`, `12d`. */
export function age(then: Date, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - then.getTime()) / 60_000));
  if (minutes < 60) return `${minutes}m`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h`;
  return `${Math.floor(minutes / (24 * 60))}d`;
}

export function count(value: number | bigint): string {
  return value.toLocaleString('en-US');
}

/** `1 segment`, `1,200 segments`. */
export function counted(value: number | bigint, word: string): string {
  return `${count(value)} ${word}${Number(value) === 1 ? '' : 's'}`;
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
