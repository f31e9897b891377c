import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Sent } from '../lib/agent-api/fields.ts';
import type { CaptureState, TaskState } from '../lib/agent-api/task-messages.ts';
import type { MemberStatus } from '../lib/etcd/client/etcd-client.ts';
import { GuardianError } from '../lib/guardian-error.ts';
import { VERSION } from '../lib/program-version.ts';
import type { LocalEtcd } from './etcd/local-etcd.ts';

export interface MeasuredAgent {
  readonly etcd: LocalEtcd;
  readonly captures: () => readonly Sent<CaptureState>[];
  readonly tasks: () => readonly TaskState[];
  /** When our certificate ends; undefined while there is none. */
  readonly certificateEnds: () => Promise<Date | undefined>;
}

/** What Prometheus scrapes. */
export interface AgentMetrics {
  taskEnded(task: TaskState, error: unknown): void;
  read(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Of this process, of etcd, and of what is done here; backups of custom resources are counted by the control plane. */
export function agentMetrics(agent: MeasuredAgent): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge =>
    new Gauge({ name: `etcdguardian_${name}`, help, registers, labelNames: [...labelNames] });
  gauge('build_info', 'The program that runs', ['version']).set({ version: VERSION }, 1);
  const up = gauge('agent_etcd_up', 'Whether the etcd of this node answers');
  const dbSize = gauge('etcd_db_size_bytes', 'Bytes of the database, as etcd has allocated them', [
    'endpoint',
  ]);
  const inUse = gauge('etcd_db_size_in_use_bytes', 'Bytes of it that are not free', ['endpoint']);
  const revision = gauge('etcd_revision', 'The revision that etcd is at', ['endpoint']);
  const running = gauge('agent_tasks_running', 'Tasks that go on or wait', ['kind']);
  const lag = gauge('agent_capture_lag_seconds', 'What would be lost now', ['operation']);
  const capturing = gauge('agent_capture_running', 'Whether a capture runs', ['operation']);
  const gaps = gauge('agent_capture_gaps', 'Gaps of a capture since it began', ['operation']);
  const certificate = gauge('agent_certificate_end_timestamp_seconds', "When the agent's certificate ends");
  const ended = new Counter({
    ...{ name: 'etcdguardian_agent_tasks_total', help: 'Tasks that ended, by how', registers },
    labelNames: ['kind', 'status', 'reason'],
  });
  const duration = new Histogram({
    ...{ name: 'etcdguardian_agent_task_duration_seconds', help: 'How long tasks took', registers },
    ...{ labelNames: ['kind', 'status'], buckets: [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600] },
  });
  const etcdStatus = statusOf(agent.etcd);

  return {
    taskEnded(task, error) {
      const status = error === undefined ? 'success' : 'failure';
      ended.inc({ kind: task.kind, status, reason: reasonCode(error) });
      duration.observe({ kind: task.kind, status }, (task.endedMs - task.startedMs) / 1000);
    },
    async read() {
      for (const one of [dbSize, inUse, revision, running, lag, capturing, gaps]) one.reset();
      const status = await etcdStatus();
      up.set(status === undefined ? 0 : 1);
      if (status !== undefined) {
        const { endpoint } = status;
        dbSize.set({ endpoint }, status.dbSize);
        inUse.set({ endpoint }, status.dbSizeInUse);
        revision.set({ endpoint }, Number(status.header.revision));
      }
      for (const { kind } of agent.tasks().filter(({ endedMs }) => endedMs === 0)) running.inc({ kind });
      for (const state of agent.captures()) {
        const operation = state.operation ?? '';
        lag.set({ operation }, state.lagSeconds ?? 0);
        capturing.set({ operation }, state.running === true ? 1 : 0);
        gaps.set({ operation }, state.gaps ?? 0);
      }
      const ends = await agent.certificateEnds().catch(() => undefined);
      if (ends !== undefined) certificate.set(ends.getTime() / 1000);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Stable words only: a label must not grow with what users write. */
function reasonCode(error: unknown): string {
  if (error === undefined) return '';
  return error instanceof GuardianError ? error.code : 'agent.failed';
}

/** Whoever scrapes often costs etcd no more than this. */
const ASK_EVERY_MS = 5_000;
const ASK_TIMEOUT_MS = 2_000;

function statusOf(etcd: LocalEtcd): () => Promise<MemberStatus | undefined> {
  let known: Promise<MemberStatus | undefined> | undefined;
  let askedAtMs = -Infinity;
  const ask = async (): Promise<MemberStatus | undefined> => {
    try {
      const { client } = await etcd.current();
      return await client.status(client.endpoints[0] ?? '', { timeoutMs: ASK_TIMEOUT_MS });
    } catch {
      return undefined;
    }
  };
  return () => {
    if (known === undefined || performance.now() - askedAtMs > ASK_EVERY_MS) {
      askedAtMs = performance.now();
      known = ask();
    }
    return known;
  };
}
