import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Change, type Reflector, startReflector } from '../../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import type { ControlPlaneTools } from '../tools.ts';

type Listener = (key: string, change: Change) => void;

/** The copy of all EtcdBackups that the controllers of one leadership share. */
export interface BackupWatch {
  get(key: string): EtcdBackup | undefined;
  list(): readonly EtcdBackup[];
  /** Told of every change, and at once of all that are known already. */
  listen(listener: Listener): void;
  readonly synced: Promise<void>;
}

/** One for each leadership, whoever asks first. */
const watches = new WeakMap<AbortSignal, BackupWatch>();

export function backupWatch(
  tools: Pick<ControlPlaneTools, 'kube' | 'log' | 'random'>,
  signal: AbortSignal,
): BackupWatch {
  const known = watches.get(signal);
  if (known !== undefined) return known;
  const listeners: Listener[] = [];
  const reflector: Reflector<EtcdBackup> = startReflector<EtcdBackup>({
    client: tools.kube,
    resource: ETCD_BACKUP_RESOURCE,
    signal,
    random: tools.random,
    onChange: (key, change) => {
      for (const listener of listeners) listener(key, change);
    },
    onTrouble: (error) => {
      tools.log.write('warning', 'watch-trouble', `EtcdBackups: ${errorText(error)}`, errorFields(error));
    },
  });
  const watch: BackupWatch = {
    get: (key) => reflector.get(key),
    list: () => reflector.list(),
    listen(listener) {
      for (const { metadata } of reflector.list())
        listener(`${metadata.namespace ?? ''}/${metadata.name}`, 'added');
      listeners.push(listener);
    },
    synced: reflector.synced,
  };
  watches.set(signal, watch);
  return watch;
}
