import {
  type EtcdBackupSchedule,
  ETCD_BACKUP_SCHEDULE_RESOURCE,
} from '../../lib/kubernetes/api/etcd-backup-schedule.ts';
import { keyOf } from '../../lib/kubernetes/object-key.ts';
import { type Reflector, startReflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** The copy of all EtcdBackupSchedules that the controllers of one leadership share. */
export interface ScheduleWatch {
  get(key: string): EtcdBackupSchedule | undefined;
  list(): readonly EtcdBackupSchedule[];
  /** Told of every change, and at once of all that are known already. */
  listen(listener: (key: string) => void): void;
  readonly synced: Promise<void>;
}

/** One for each leadership, whoever asks first. */
const watches = new WeakMap<AbortSignal, ScheduleWatch>();

export function scheduleWatch(
  tools: Pick<ControlPlaneTools, 'kube' | 'log' | 'random'>,
  signal: AbortSignal,
): ScheduleWatch {
  const known = watches.get(signal);
  if (known !== undefined) return known;
  const listeners: ((key: string) => void)[] = [];
  const reflector: Reflector<EtcdBackupSchedule> = startReflector<EtcdBackupSchedule>({
    ...{ client: tools.kube, resource: ETCD_BACKUP_SCHEDULE_RESOURCE, signal, random: tools.random },
    onChange: (key) => {
      for (const listener of listeners) listener(key);
    },
    onTrouble: (error) => {
      const text = `EtcdBackupSchedules: ${errorText(error)}`;
      tools.log.write('warning', 'watch-trouble', text, errorFields(error));
    },
  });
  const watch: ScheduleWatch = {
    get: (key) => reflector.get(key),
    list: () => reflector.list(),
    listen(listener) {
      for (const object of reflector.list()) listener(keyOf(object));
      listeners.push(listener);
    },
    synced: reflector.synced,
  };
  watches.set(signal, watch);
  return watch;
}
