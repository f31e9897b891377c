import type { Problem, SnapshotVerdictData } from '../lib/etcd/mvcc/snapshot-verdict.ts';

/** A verdict as the commands print it in JSON: numbers as etcdutl 3.6 prints them, 64-bit values as strings. */
export function snapshotFigures(
  file: string,
  verdict: SnapshotVerdictData,
): Readonly<Record<string, unknown>> {
  return {
    file,
    sound: verdict.sound,
    revision: verdict.revision,
    currentRevision: verdict.currentRevision,
    compactRevision: verdict.compactRevision,
    totalKeys: verdict.totalKeys,
    totalEntries: verdict.totalEntries,
    totalSize: verdict.totalSize,
    hash: verdict.hash,
    hashKV: verdict.hashKV,
    sha256: verdict.sha256,
    trailer: verdict.trailer,
    pageSize: verdict.pageSize,
    pages: verdict.pages,
    freePages: verdict.freePages,
    compacting: verdict.compacting,
    leases: verdict.leases,
    orphanLeases: verdict.orphanLeases,
    alarms: verdict.alarms,
    members: verdict.members,
    authEnabled: verdict.authEnabled,
    storageVersion: verdict.storageVersion ?? null,
    clusterVersion: verdict.clusterVersion ?? null,
    problems: verdict.problems,
    problemCount: verdict.problemCount,
    warnings: verdict.warnings,
  };
}

const SHOWN = 20;

/** What is wrong and what is odd, a line each, the first ones in full. */
export function problemLines(verdict: SnapshotVerdictData): string {
  return (
    lines('problem', verdict.problems, verdict.problemCount) +
    lines('warning', verdict.warnings, verdict.warningCount)
  );
}

function lines(kind: string, list: readonly Problem[], total: number): string {
  const shown = list
    .slice(0, SHOWN)
    .map((problem) => `  ${kind} ${problem.code}${place(problem)}: ${problem.message}\n`);
  const rest = total - shown.length;
  return (
    shown.join('') + (rest > 0 ? `  … and ${rest} more (--output json shows the first ${list.length})\n` : '')
  );
}

function place(problem: Problem): string {
  if (problem.offset !== undefined) return ` at byte ${problem.offset}`;
  return problem.key === undefined ? '' : ` at ${problem.key}`;
}
