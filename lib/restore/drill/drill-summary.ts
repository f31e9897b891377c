import { z } from 'zod';
import { GuardianError } from '../../guardian-error.ts';
import { drillProblem, type DrillReport } from './drill-report.ts';

/**
 * What a drill came to, small enough for the message that a container leaves behind. `unknown`: the drill could not be
 * held, which says nothing about the backup.
 */
export type DrillSummary = z.output<typeof summarySchema>;

const text = z.string();
const summarySchema = z.object({
  result: z.enum(['passed', 'failed', 'unknown']),
  /** Of the data; a 64-bit number. */
  revision: text.regex(/^\d+$/).optional(),
  etcdVersion: text.optional(),
  kubeApiserverVersion: text.optional(),
  /** See `DrillReport.recoverySeconds`. */
  recoverySeconds: z.number().nonnegative().optional(),
  /** In the restored etcd. */
  keys: z.int().nonnegative().optional(),
  /** The first ones that don't hold; `failed` counts all of them. */
  failedChecks: z.array(z.object({ name: text, detail: text })).default([]),
  failed: z.int().nonnegative().default(0),
  /** What ended it before all was looked at. */
  problem: z.object({ code: text, message: text, hint: text.optional(), phase: text.optional() }).optional(),
  /** How many. */
  warnings: z.int().nonnegative().default(0),
});

/** A kubelet keeps 4,096 bytes of a container's message. */
export const SUMMARY_BYTES = 3_500;

/** Compact JSON of at most `SUMMARY_BYTES`: long texts are cut, and of many failed checks the first ones are told. */
export function formatDrillSummary(summary: DrillSummary): string {
  for (const characters of LENGTHS) {
    const json = JSON.stringify(shortened(summary, characters));
    if (Buffer.byteLength(json) <= SUMMARY_BYTES) return json;
  }
  const { result, failed, warnings } = summary;
  return JSON.stringify({ result, failedChecks: [], failed, warnings });
}

/** Throws `drill.summary` for what no drill wrote. */
export function parseDrillSummary(message: string): DrillSummary {
  const parsed = summarySchema.safeParse(jsonIn(message));
  if (parsed.success) return parsed.data;
  throw new GuardianError(
    'drill.summary',
    `this is no drill's summary: ${JSON.stringify(cut(message, 300))}`,
    {
      hint: "Look at the log of the drill's pod.",
    },
  );
}

/** What is told of a drill that was held. */
export function summaryOf(report: DrillReport): DrillSummary {
  const { revision, etcd, apiServer, recoverySeconds, keys, problem, warnings } = report;
  const failed = report.checks.filter(({ passed }) => !passed);
  return {
    // What doesn't hold stays so, whatever ended the drill afterwards.
    result:
      report.result === 'passed' ? 'passed' : failed.length > 0 ? 'failed' : resultOfProblem(problem?.code),
    revision: revision.toString(),
    ...{ etcdVersion: etcd?.version, kubeApiserverVersion: apiServer?.version },
    ...{ recoverySeconds, keys },
    failedChecks: failed.map(({ name, detail }) => ({ name, detail })),
    failed: failed.length,
    ...{ problem, warnings: warnings.length },
  };
}

/** Of a drill that ended before it had anything to report on. */
export function summaryOfError(error: unknown): DrillSummary {
  const { code, message, hint } = drillProblem(error, undefined);
  return {
    result: resultOfProblem(code),
    failedChecks: [],
    failed: 0,
    warnings: 0,
    problem: { code, message, hint },
  };
}

/** Codes, and whole rooms of codes, of what keeps a drill from being held: the machine, the store, the settings. */
const NOT_HELD: readonly string[] = [
  ...['disk', 'keys', 'rpc', 'spool', 'thread', 'usage'],
  // Slow is not wrong.
  ...['drill.api-server-silent', 'drill.etcd-silent'],
  ...['drill.killed', 'drill.no-encryption-config', 'drill.no-program', 'drill.queries', 'drill.work-dir'],
  ...['restore.no-space', 'restore.version'],
  ...['store.busy', 'store.denied', 'store.failed', 'store.forbidden-address', 'store.settings'],
  ...['store.unreachable', 'store.url'],
];

function resultOfProblem(code: string | undefined): DrillSummary['result'] {
  const room = code?.slice(0, code.indexOf('.'));
  return NOT_HELD.some((known) => known === code || known === room) ? 'unknown' : 'failed';
}

/** Of each text, and twice as many failed checks as hundreds of them. */
const LENGTHS = [1_000, 500, 250, 120, 60];

function shortened(summary: DrillSummary, characters: number): DrillSummary {
  const { failedChecks, problem } = summary;
  const checks = failedChecks.slice(0, Math.ceil(characters / 50)).map(({ name, detail }) => ({
    name: cut(name, characters),
    detail: cut(detail, characters),
  }));
  if (problem === undefined) return { ...summary, failedChecks: checks };
  const { code, message, hint, phase } = problem;
  const told = {
    message: cut(message, characters),
    hint: hint === undefined ? undefined : cut(hint, characters),
  };
  return { ...summary, failedChecks: checks, problem: { code, ...told, phase } };
}

function cut(whole: string, characters: number): string {
  return whole.length <= characters ? whole : `${whole.slice(0, characters - 1).toWellFormed()}…`;
}

function jsonIn(message: string): unknown {
  try {
    return JSON.parse(message);
  } catch {
    return undefined;
  }
}
