import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { type FileVersions, judgeVersions, type VersionEdits } from '../../etcd/datadir/version-rules.ts';
import type { HashKV } from '../../etcd/client/etcd-client.ts';
import { GuardianError, hasCode } from '../../guardian-error.ts';
import { keysNeeded } from '../../keyspace/keys-needed.ts';
import type { MergedSource } from '../merged-source.ts';
import { type Restored, restoreOffline, type RestoreStep } from '../offline-restore.ts';
import { planRestore, type RestorePoint } from '../restore-plan.ts';
import type { SnapshotSource } from '../snapshot-source.ts';
import { type CheckedApi, checkApiServer } from './check-api-server.ts';
import { checkEtcd } from './check-etcd.ts';
import { DRILL_MEMBER, DRILL_PEER_URL, startDrillEtcd } from './drill-etcd.ts';
import { drillFolder, type DrillFolder, removeLeftovers } from './drill-folder.ts';
import { programKilled, versionOf } from './drill-program.ts';
import {
  type Check,
  drillProblem,
  type DrillReport,
  recoverySecondsOf,
  resultOf,
  type UsedProgram,
} from './drill-report.ts';
import type { Phase, PhaseTimes } from './phase-times.ts';
import type { Query } from './queries.ts';
import { serviceRange } from './service-range.ts';

/** What is to be rehearsed, and with which programs. */
export interface DrillRequest {
  readonly source: SnapshotSource | MergedSource;
  readonly point: RestorePoint;
  readonly versions: FileVersions;
  /** The evidence that came with the data, beside what the restored etcd answers for its hash. */
  readonly proof: (answered: HashKV) => {
    readonly checks: readonly Check[];
    readonly warnings: readonly string[];
  };
  /** The etcd program. */
  readonly etcd: string;
  readonly apiServer?: DrilledApiServer | undefined;
  readonly queries: readonly Query[];
  /** Where the drill makes its folder, as large as the database. */
  readonly workDir: string;
  /** How long each program may take until it serves. */
  readonly startTimeoutMs: number;
}

export interface DrilledApiServer {
  /** The kube-apiserver program. */
  readonly program: string;
  readonly encryptionConfig: string | undefined;
}

export interface DrillTools {
  readonly clock: Clock;
  /** Begun by the caller, who found the restore point. */
  readonly times: PhaseTimes;
  readonly onStep: (step: RestoreStep) => void;
  readonly onPhase: (phase: Phase) => void;
  readonly say: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A drill that was held, whatever came out. */
export interface HeldDrill {
  readonly report: DrillReport;
  /** What ended it early; `report.problem` tells the same. */
  readonly failure: unknown;
}

/**
 * Restores a point by the same code as a restore, starts etcd on it where nobody else can reach it, and looks whether
 * everything is there. Nothing is written to the store, and no other etcd or API server is ever called. The data goes
 * again at the end, also when the drill's process is killed (see `undertaker.ts`, `removeLeftovers`).
 *
 * Resolves also when the drill fails: the report tells why. Rejects only when the signal aborts.
 */
export async function runDrill(request: DrillRequest, tools: DrillTools): Promise<HeldDrill> {
  const { clock, times, signal } = tools;
  const drill = new Drill(request, tools, clock());
  let failure: unknown;
  try {
    await drill.run();
  } catch (error) {
    signal?.throwIfAborted();
    failure = error;
    drill.failed(error, times.current);
  }
  times.end();
  return { report: drill.report(), failure };
}

class Drill {
  readonly #request: DrillRequest;
  readonly #tools: DrillTools;
  readonly #startedAt: Date;
  readonly #checks: Check[] = [];
  readonly #warnings: string[] = [];
  #etcd: UsedProgram | undefined;
  #apiServer: UsedProgram | undefined;
  #restored: Restored | undefined;
  #found: Pick<DrillReport, 'keys' | 'resources'> = { keys: undefined, resources: [] };
  #listed: CheckedApi | undefined;
  #served = false;
  #problem: DrillReport['problem'];

  constructor(request: DrillRequest, tools: DrillTools, startedAt: Date) {
    this.#request = request;
    this.#tools = tools;
    this.#startedAt = startedAt;
  }

  async run(): Promise<void> {
    const { etcd: program, workDir, apiServer } = this.#request;
    const { clock, times, signal, say } = this.#tools;
    // 1. Programs and place, before anything is fetched.
    times.begin('find');
    this.#etcd = { program, version: await versionOf('etcd', program, signal) };
    if (apiServer !== undefined) {
      const version = await versionOf('kube-apiserver', apiServer.program, signal);
      this.#apiServer = { program: apiServer.program, version };
    }
    const versionEdits = this.#judgeVersions(this.#etcd.version);
    for (const folder of await removeLeftovers(workDir, clock())) {
      say(`removed ${folder}, which a drill that was killed had left`);
    }
    await using folder = await drillFolder(workDir);
    try {
      await this.#hold(folder, versionEdits);
    } catch (error) {
      const [killed] = folder.killed;
      throw killed === undefined ? error : programKilled(killed, error);
    }
  }

  async #hold(folder: DrillFolder, versionEdits: VersionEdits | undefined): Promise<void> {
    const { etcd: program, startTimeoutMs, source, apiServer, queries } = this.#request;
    const { signal } = this.#tools;
    // 2. The restore itself.
    const dataDir = path.join(folder.path, 'data');
    this.#restored = await this.#restore(dataDir, versionEdits);

    // 3. It serves.
    this.#begin('start');
    const databaseBytes = source.size;
    const etcdOptions = { program, dataDir, databaseBytes, startTimeoutMs, signal };
    await using etcd = await startDrillEtcd(etcdOptions, folder);
    this.#checks.push({ name: 'etcd serves', passed: true, detail: `etcd ${this.#etcd?.version ?? ''}` });
    if (apiServer === undefined) this.#served = true;

    // 4. It is what was backed up. Before an API server writes to it.
    this.#begin('checks');
    const { checks, answered, ...found } = await checkEtcd(etcd, this.#restored, signal);
    this.#found = found;
    const proof = this.#request.proof(answered);
    this.#checks.push(...checks, ...proof.checks);
    this.#warnings.push(...proof.warnings);

    // 5. An API server can read it, and what the user asked for is there.
    const asked = { queries, etcd: etcd.client, signal };
    const range = apiServer === undefined ? '' : await serviceRange(etcd.client, signal);
    const shared = { databaseBytes, startTimeoutMs, serviceRange: range };
    const api = await checkApiServer(apiServer && { ...apiServer, ...shared }, asked, folder, {
      needed: keysNeeded(this.#restored.verdict.valuePrefixes ?? []),
      begin: (phase) => {
        this.#begin(phase);
      },
      ready: () => {
        this.#served = true;
      },
    });
    this.#listed = api;
    this.#checks.push(...api.checks);
    this.#warnings.push(...api.warnings);
  }

  failed(error: unknown, phase: Phase | undefined): void {
    this.#problem = drillProblem(error, phase);
  }

  report(): DrillReport {
    const { source, point } = this.#request;
    const phases = this.#tools.times.seconds();
    const judged = { checks: this.#checks, problem: this.#problem };
    return {
      result: resultOf(judged),
      startedAt: this.#startedAt,
      point: source.label,
      revision: point.currentRevision,
      databaseBytes: this.#restored?.verdict.totalSize ?? source.size,
      ...{ etcd: this.#etcd, apiServer: this.#apiServer },
      recoverySeconds: this.#served ? recoverySecondsOf(phases) : undefined,
      ...{ phases, ...judged },
      hashKV: this.#restored?.hashKV,
      ...this.#found,
      listed: this.#listed?.listed,
      encryptionAtRest: keysNeeded(this.#restored?.verdict.valuePrefixes ?? []),
      warnings: this.#warnings,
    };
  }

  #begin(phase: Phase): void {
    this.#tools.times.begin(phase);
    this.#tools.onPhase(phase);
  }

  #judgeVersions(version: string): VersionEdits | undefined {
    const { verdict, reason, edits } = judgeVersions(this.#request.versions, version);
    if (verdict === 'refuse') {
      throw new GuardianError('restore.version', reason, {
        hint: 'give the etcd of the version that the cluster runs: --etcd PATH',
      });
    }
    if (verdict === 'warn') this.#warnings.push(reason);
    return edits;
  }

  async #restore(dataDir: string, versionEdits: VersionEdits | undefined): Promise<Restored> {
    const { source, point } = this.#request;
    const { signal, onStep } = this.#tools;
    const token = `drill-${randomBytes(16).toString('hex')}`;
    // Revisions stay as they were: so etcd can answer the very hash that a live member answered.
    const names = { name: DRILL_MEMBER, initialAdvertisePeerUrls: DRILL_PEER_URL, token };
    const plan = planRestore({ dataDir, ...names, allMembers: false, bump: 'none' }, point);
    this.#begin('fetch');
    try {
      return await restoreOffline(source, plan, {
        ...{ versionEdits, signal, readBack: false },
        onStep: (step) => {
          this.#tools.times.begin(phaseOf(step));
          onStep(step);
        },
      });
    } catch (error) {
      if (!hasCode(error, 'restore.no-space')) throw error;
      throw new GuardianError(error.code, error.message, {
        hint: 'free some space there, or hold the drill on another disk with --work-dir',
        cause: error,
      });
    }
  }
}

/** Which phase a step of the restore belongs to; `verify` begins with the last byte. */
function phaseOf(step: RestoreStep): Phase {
  if (step.kind === 'merging') {
    return PHASE_OF_MERGE[step.progress.step];
  }
  const whole = step.kind === 'writing' && step.total !== undefined && step.done >= step.total;
  return step.kind === 'writing' && !whole ? 'fetch' : 'verify';
}

const PHASE_OF_MERGE = {
  fetching: 'fetch',
  merging: 'merge',
  compacting: 'merge',
  verifying: 'verify',
} as const;
