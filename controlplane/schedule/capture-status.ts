import type { CaptureState } from '../../lib/agent-api/task-messages.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { ETCD_BACKUP_SCHEDULE_RESOURCE } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { CaptureStatus } from '../../lib/kubernetes/api/etcd-backup-schedule-status.ts';
import type { Condition } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import { setCondition } from '../../lib/kubernetes/set-condition.ts';
import { writeStatus } from '../../lib/kubernetes/write-status.ts';
import { failureOf } from '../backup/backup-status.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { ScheduleSource } from './schedule-source.ts';
import type { WantedCapture } from './wanted-captures.ts';

/** How far a capture has come is written so often at most. */
const WRITE_MS = 60_000;

type Told = Pick<Condition, 'status' | 'reason' | 'message'>;

/** Tells in the status of schedules how their capture does. */
export class CaptureStatusWriter {
  readonly #tools: Pick<ControlPlaneTools, 'kube' | 'clock'>;
  /** By uid of the schedule: what was told last, and when by the monotonic clock. */
  readonly #written = new Map<string, { readonly told: string; readonly atMs: number }>();

  constructor(tools: Pick<ControlPlaneTools, 'kube' | 'clock'>) {
    this.#tools = tools;
  }

  async running(
    { owners }: WantedCapture,
    seen: { readonly node: string; readonly state: CaptureState } | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (seen === undefined) return;
    const { node, state } = seen;
    const { problem, storedRevision, storedTimeMs, gaps } = state;
    const capture = {
      ...{ node, revision: Number(storedRevision), gaps },
      ...(storedTimeMs > 0 ? { time: new Date(storedTimeMs).toISOString() } : {}),
    };
    const told: Told =
      problem === undefined
        ? {
            status: 'True',
            reason: 'Running',
            message: `the agent of ${node} captures changes as they happen`,
          }
        : { status: 'False', reason: problem.code, message: `${problem.message}. ${problem.hint}` };
    for (const owner of owners) await this.#tell(owner, told, capture, signal);
  }

  async failed({ owners }: WantedCapture, error: unknown, signal: AbortSignal): Promise<void> {
    const { reason, message } = failureOf(error);
    for (const owner of owners)
      await this.#tell(owner, { status: 'False', reason, message }, undefined, signal);
  }

  async #tell(
    source: ScheduleSource,
    told: Told,
    capture: CaptureStatus | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { uid = '', namespace, name, generation } = source.metadata;
    const text = JSON.stringify([told, generation]);
    const last = this.#written.get(uid);
    if (last?.told === text && performance.now() - last.atMs < WRITE_MS) return;
    const observed = generation === undefined ? {} : { observedGeneration: generation };
    const condition = { type: 'Capturing', ...told, ...observed };
    const status: ScheduleSource['status'] = {
      ...source.status,
      conditions: setCondition(source.status.conditions, condition, this.#tools.clock()),
      ...(capture === undefined || source.kind === 'EtcdBackup' ? {} : { capture }),
    };
    const resource = source.kind === 'EtcdBackup' ? ETCD_BACKUP_RESOURCE : ETCD_BACKUP_SCHEDULE_RESOURCE;
    const { metadata, status: before } = source;
    try {
      await writeStatus(
        this.#tools.kube,
        { resource, namespace, name },
        { metadata, status: before },
        status,
        { signal },
      );
      this.#written.set(uid, { told: text, atMs: performance.now() });
    } catch (error) {
      // Somebody else has written it: the next look finds it.
      if (!hasCode(error, 'kubernetes.conflict') && !hasCode(error, 'kubernetes.not-found')) throw error;
    }
  }
}
