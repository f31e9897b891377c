import type { RunCost } from './timed-run.ts';

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** One line: medians, with the spread of the wall time, which tells how noisy the machine was. */
export function costLine(name: string, runs: readonly RunCost[]): string {
  const walls = runs.map((run) => run.wallSeconds);
  const cpu = median(runs.map((run) => run.cpuSeconds));
  const peak = median(runs.map((run) => run.peakBytes)) / 2 ** 20;
  const spread = `${Math.min(...walls).toFixed(1)}–${Math.max(...walls).toFixed(1)}`;
  return `  ${name.padEnd(28)} wall ${median(walls).toFixed(2)} s (${spread})  CPU ${cpu.toFixed(2)} s  peak RSS ${peak.toFixed(0)} MiB`;
}

/** Of pairs run one after the other, the median of their ratios: a drift of the machine's speed cancels out. */
export function pairRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, at) => value / (theirs[at] ?? Number.NaN)));
}

export function ratioLine(what: string, ratio: number, goal: string): string {
  return `  → ${what}: ${ratio.toFixed(2)} (goal ${goal})`;
}
