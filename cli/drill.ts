import { Command } from 'commander';
import { createRequire } from 'node:module';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type * as Yaml from 'yaml';
import { diskError } from '../lib/etcd/durable-file.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import {
  type DrillSummary,
  formatDrillSummary,
  summaryOf,
  summaryOfError,
} from '../lib/restore/drill/drill-summary.ts';
import { PhaseTimes } from '../lib/restore/drill/phase-times.ts';
import { parseQueries, type Query } from '../lib/restore/drill/queries.ts';
import { recordedProof } from '../lib/restore/drill/recorded-proof.ts';
import { type HeldDrill, runDrill } from '../lib/restore/drill/run-drill.ts';
import { drillText, drillValue } from './drill-text.ts';
import { EXIT_CODES, exitCodeOf } from './exit-code.ts';
import { parseDuration } from './option-values.ts';
import { print } from './output.ts';
import {
  type AcceptOptions,
  hashWarnings,
  type PointOptions,
  withAcceptedMismatches,
  withPointOptions,
} from './point-options.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import { withRepositoryOptions, type RepositoryOptions } from './repository-options.ts';
import { fromBackup, fromFile } from './restore-input.ts';
import { tellRestoreStep } from './restore-progress.ts';
import type { Session } from './session.ts';
import { diskFolder } from './spool-options.ts';

interface DrillOptions extends RepositoryOptions, PointOptions, ReportOptions, AcceptOptions {
  readonly backup?: string;
  readonly snapshot?: string;
  readonly allowOlder?: boolean;
  readonly etcd: string;
  readonly kubeApiserver?: string;
  readonly encryptionConfig?: string;
  readonly queries?: string;
  readonly report?: string;
  readonly summary?: string;
  readonly workDir?: string;
  readonly startTimeout: string;
}

export function drillRunCommand(session: Session): Command {
  const command = new Command('run')
    .summary('restore a point where nobody else can reach it, and look whether it serves')
    .description(
      `Restores the newest restore point of a store (or any: --to-time, --to-revision,
--backup, --snapshot) by the same code as "restore", into a folder that goes
again, and starts etcd on it. Then: HashKV equals what was foretold, every key
is there, the proof recorded with the backup holds, your queries (--queries) are
answered as you want; with --kube-apiserver, an API server on it is ready, reads
a Secret, and lists every resource type. The time until it served is told: what
a recovery takes on this machine.

The live cluster is never called, and nothing is written to the store. etcd
listens on a Unix socket in a folder that only this user may enter; the API
server on loopback, for this drill alone. Both run at low priority.

Every night:   … --store s3://b/p --key-file k --report /var/lib/drill.json
With an API server, whose Secrets are encrypted at rest:
  … --kube-apiserver PATH --encryption-config /etc/kubernetes/encryption.yaml

Exit status 0: everything holds. 3: something does not, or the data is damaged.`,
    )
    .option('--backup <id>', 'this backup alone: its id, an unambiguous beginning of it, or "latest"')
    .option('--snapshot <file>', 'drill this snapshot file instead of anything from a store')
    .option('--etcd <program>', "the etcd to start, of the cluster's own version", 'etcd')
    .option('--kube-apiserver <program>', 'also start this kube-apiserver on it, and list everything')
    .option('--encryption-config <file>', 'the EncryptionConfiguration of the API servers')
    .option('--queries <file>', 'what must be there, as YAML or JSON; see docs/drills.md')
    .option('--report <file>', 'also write the report there, as JSON, whatever comes out')
    .option('--summary <file>', 'also write the result there, as JSON of at most 3,500 bytes')
    .option(
      '--work-dir <dir>',
      'where the data is restored, as large as the database (default: a temporary folder on a disk)',
    )
    .option('--start-timeout <duration>', 'how long each program may take until it serves', '10m')
    .option('--allow-older', 'accept that the store holds only older backups than this machine has seen');
  return withReportOptions(withRepositoryOptions(withAcceptedMismatches(withPointOptions(command)))).action(
    async (options: DrillOptions) => {
      try {
        const held = await drill(session, options);
        await writeSummary(options, summaryOf(held.report));
        session.exitCode = exitCodeAfter(held);
      } catch (error) {
        // Whoever ended the drill knows.
        if (!session.terminal.signal.aborted) await writeSummary(options, summaryOfError(error));
        throw error;
      }
    },
  );
}

async function drill(session: Session, options: DrillOptions): Promise<HeldDrill> {
  const { terminal, clock } = session;
  const { signal } = terminal;
  requireSense(options);
  const report = reporting(session, options);
  const { progress } = report;
  const startTimeoutMs = parseDuration(options.startTimeout, '--start-timeout', 1000);
  const queries = options.queries === undefined ? [] : await readQueries(options.queries);
  const workDir = options.workDir ?? (await diskFolder());

  const times = new PhaseTimes();
  times.begin('find');
  const input =
    options.snapshot === undefined
      ? await fromBackup(session, { ...options, record: false }, progress)
      : await fromFile(options.snapshot, false, signal, progress);
  const held = await runDrill(
    {
      source: input.source,
      point: input.point,
      versions: input.versions,
      proof: (answered) => {
        const judged = input.judged();
        const told = judged === undefined ? [] : hashWarnings(judged);
        if (input.backup === undefined) return { checks: [], warnings: [UNPROVEN_FILE, ...told] };
        const { checks, warnings } = recordedProof(input.backup, judged, answered);
        return { checks, warnings: [...warnings, ...told] };
      },
      etcd: programPath(options.etcd),
      apiServer:
        options.kubeApiserver === undefined
          ? undefined
          : {
              program: programPath(options.kubeApiserver),
              encryptionConfig:
                options.encryptionConfig === undefined ? undefined : path.resolve(options.encryptionConfig),
            },
      ...{ queries, workDir, startTimeoutMs },
    },
    {
      ...{ clock, times, signal },
      onStep: (step) => {
        tellRestoreStep(progress, step);
      },
      onPhase: (phase) => {
        if (SAID[phase] !== undefined) progress.say(SAID[phase]);
      },
      say: (text) => {
        progress.say(text);
      },
    },
  );
  progress.end();
  const value = drillValue(held.report);
  if (options.report !== undefined) await writeReport(options.report, value);
  print(terminal, report.format, value, () => drillText(held.report));
  return held;
}

const UNPROVEN_FILE = "a bare snapshot file: that its data was the cluster's is not proven";

const SAID: Readonly<Record<string, string>> = {
  start: 'starting etcd',
  'api-server': 'starting kube-apiserver',
};

/** What failed tells its kind; a drill that was held to its end and found something wrong is about the data. */
function exitCodeAfter({ report, failure }: HeldDrill): number {
  if (failure !== undefined) return exitCodeOf(failure);
  return report.result === 'passed' ? EXIT_CODES.ok : EXIT_CODES.unsound;
}

function requireSense({
  snapshot,
  backup,
  toTime,
  toRevision,
  encryptionConfig,
  kubeApiserver,
}: DrillOptions): void {
  const points = [snapshot, backup, toTime, toRevision].filter((one) => one !== undefined);
  if (points.length > 1) {
    throw new GuardianError('usage.point', 'a drill is of one point only', {
      hint: 'give one of --to-time, --to-revision, --backup and --snapshot; with none it is of the newest point',
    });
  }
  if (encryptionConfig === undefined || kubeApiserver !== undefined) return;
  throw new GuardianError('usage.encryption-config', '--encryption-config is read by an API server only', {
    hint: 'also give --kube-apiserver PROGRAM',
  });
}

/** A name is looked for on the PATH; anything else is a path from here, not from where the program will run. */
function programPath(program: string): string {
  return program.includes('/') ? path.resolve(program) : program;
}

async function readQueries(file: string): Promise<Query[]> {
  let content: unknown;
  try {
    const yaml = createRequire(import.meta.url)('yaml') as typeof Yaml;
    content = yaml.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw diskError(error, `reading ${file}`);
    throw new GuardianError('drill.queries', `${file} is neither YAML nor JSON: ${reasonOf(error)}`, {
      hint: 'docs/drills.md tells how queries are written',
      cause: error,
    });
  }
  return parseQueries(content, file);
}

async function writeReport(file: string, value: unknown): Promise<void> {
  await write(file, `${JSON.stringify(value, null, 2)}\n`);
}

async function writeSummary({ summary: file }: DrillOptions, summary: DrillSummary): Promise<void> {
  if (file !== undefined) await write(file, `${formatDrillSummary(summary)}\n`);
}

/** In place: it may be a pipe, or what a kubelet mounted. */
async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { mode: 0o644 });
  } catch (error) {
    throw diskError(error, `writing ${file}`);
  }
}
