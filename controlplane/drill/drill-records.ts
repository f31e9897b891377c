import { GuardianError } from '../../lib/guardian-error.ts';
import type { EtcdBackupSchedule } from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { doubledMs } from '../doubled-delay.ts';
import { isFinal } from './is-final.ts';
import type { DrillTools } from './prepare-drill.ts';
import { withRecord, writeRecord, type WrittenRecord } from './record-drill.ts';
import { type DrillParent, recordOf } from './drill-series.ts';

interface Unwritten {
  readonly record: WrittenRecord;
  /** What the status told of drills when this was to be written over it. */
  readonly over: string;
  readonly tell: () => void;
  isTold: boolean;
  /** It is, and our copy shows it in a moment. */
  isWritten: boolean;
  attempts: number;
  /** By the monotonic clock. */
  againMs: number;
}

/** What somebody else may change at the same time is tried again so soon, */
const FIRST_MS = 200;
/** what was refused so late; then after twice as long each time, up to an hour. */
const FIRST_REFUSED_MS = 60_000;
const LONGEST_MS = 3_600_000;
/** So long our copies may take to show what was written. */
const COPY_MS = 60_000;
/** So many tries go by without a word, about half a minute. */
const QUIET_TRIES = 8;

/**
 * Writes drills into statuses. What can't be written is remembered and tried again, ever more rarely; meanwhile everything
 * is looked at as if it had been written, so that no drill is held twice for it and no other waits.
 */
export class DrillRecords {
  readonly #tools: Pick<DrillTools, 'kube' | 'log'>;
  readonly #monotonicMs: () => number;
  /** By uid. */
  readonly #objects = new Map<string, DrillParent>();
  readonly #unwritten = new Map<string, Unwritten>();

  constructor(tools: Pick<DrillTools, 'kube' | 'log'>, monotonicMs: () => number) {
    this.#tools = tools;
    this.#monotonicMs = monotonicMs;
  }

  /** What there is now, as if all of it had been written. */
  seen(
    backups: readonly EtcdBackup[],
    schedules: readonly EtcdBackupSchedule[],
  ): { backups: EtcdBackup[]; schedules: EtcdBackupSchedule[] } {
    this.#objects.clear();
    for (const object of backups) this.#objects.set(uidOf(object), { kind: 'EtcdBackup', object });
    for (const object of schedules) this.#objects.set(uidOf(object), { kind: 'EtcdBackupSchedule', object });
    for (const [uid, { record, over, isWritten, againMs }] of this.#unwritten) {
      const there = this.#objects.get(uid);
      const told = there && textOf(there);
      const isOver = isWritten && (told !== over || againMs <= this.#monotonicMs());
      // It is gone, or somebody has written what happened later.
      if (isOver || (told !== over && told !== textOf(record))) this.#unwritten.delete(uid);
    }
    const all = [...this.#objects].map(([uid, parent]) => {
      const { record } = this.#unwritten.get(uid) ?? {};
      return record === undefined ? parent : withRecord(parent, record);
    });
    return {
      backups: all.flatMap((one) => (one.kind === 'EtcdBackup' ? [one.object] : [])),
      schedules: all.flatMap((one) => (one.kind === 'EtcdBackupSchedule' ? [one.object] : [])),
    };
  }

  /** Writes it down, at once or later. `tell` is called when it is written, or when that goes on failing. */
  async write(
    { metadata }: EtcdBackup | EtcdBackupSchedule,
    record: WrittenRecord,
    tell: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const uid = metadata.uid ?? '';
    const there = this.#objects.get(uid);
    if (there === undefined) return;
    const over = textOf(there);
    const news = { record, over, tell, isTold: false, isWritten: false, attempts: 0, againMs: 0 };
    await this.#try(uid, there, news, signal);
  }

  /** Tries what is due again; resolves to how long the next try has time. */
  async retry(signal: AbortSignal): Promise<number> {
    for (const [uid, unwritten] of [...this.#unwritten]) {
      const there = this.#objects.get(uid);
      if (there !== undefined && !unwritten.isWritten && unwritten.againMs <= this.#monotonicMs())
        await this.#try(uid, there, unwritten, signal);
    }
    const times = [...this.#unwritten.values()].map(({ againMs }) => againMs - this.#monotonicMs());
    return Math.max(1, Math.min(...times, LONGEST_MS));
  }

  async #try(uid: string, there: DrillParent, what: Unwritten, signal: AbortSignal): Promise<void> {
    try {
      await writeRecord(this.#tools.kube, there, what.record, signal);
      this.#unwritten.set(uid, { ...what, isWritten: true, againMs: this.#monotonicMs() + COPY_MS });
      if (!what.isTold) what.tell();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof GuardianError)) throw error;
      what.attempts += 1;
      const firstMs = isFinal(error) ? FIRST_REFUSED_MS : FIRST_MS;
      const waitMs = doubledMs(what.attempts, firstMs, LONGEST_MS);
      what.againMs = this.#monotonicMs() + waitMs;
      this.#unwritten.set(uid, what);
      if (!isFinal(error) && what.attempts < QUIET_TRIES) return;
      const { kind, object } = there;
      const { namespace = '', name } = object.metadata;
      const text = `${kind} ${namespace}/${name}: how its drill went can't be written; next try in ${Math.ceil(waitMs / 1_000)} s: ${errorText(error)}`;
      this.#tools.log.write('error', 'drill-not-written', text, errorFields(error));
      if (!what.isTold) what.tell();
      what.isTold = true;
    }
  }
}

function uidOf({ metadata: { uid = '' } }: EtcdBackup | EtcdBackupSchedule): string {
  return uid;
}

/** What distinguishes records. */
function textOf(of: DrillParent | WrittenRecord): string {
  const { drill } = 'kind' in of ? recordOf(of) : of;
  return JSON.stringify([drill?.time, drill?.requested]);
}
