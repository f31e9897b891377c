import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { discoverEtcd, type DiscoverySettings } from './discover-etcd.ts';
import type { EtcdPlace } from './etcd-place.ts';

/** The etcd of this node with a connection to it. */
export interface ConnectedEtcd {
  readonly place: EtcdPlace;
  readonly client: EtcdClient;
}

export interface LocalEtcd extends AsyncDisposable {
  /**
   * Looks at the node's files again: they are few and small, and tell at once when etcd was moved. The same object while
   * nothing changes. Rejects as `discoverEtcd` does.
   */
  current(): Promise<ConnectedEtcd>;
}

/**
 * Reads and dials nothing yet. A connection whose etcd has moved is closed once `onMoved` is through, which nobody waits
 * for: it may itself ask where etcd is.
 */
export function localEtcd(
  settings: DiscoverySettings,
  onMoved: (from: EtcdPlace, to: EtcdPlace) => Promise<void>,
): LocalEtcd {
  let connected: ConnectedEtcd | undefined;
  let looking: Promise<ConnectedEtcd> | undefined;
  let leaving: Promise<void> = Promise.resolve();
  const leave = async (before: ConnectedEtcd, place: EtcdPlace): Promise<void> => {
    await onMoved(before.place, place).catch(() => undefined);
    await before.client.close();
  };
  const look = async (): Promise<ConnectedEtcd> => {
    const place = await discoverEtcd(settings);
    const before = connected;
    if (before !== undefined && JSON.stringify(before.place) === JSON.stringify(place)) return before;
    connected = { place, client: connectEtcd(place.client) };
    if (before !== undefined)
      leaving = Promise.allSettled([leaving, leave(before, place)]).then(() => undefined);
    return connected;
  };
  return {
    current() {
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    async [Symbol.asyncDispose]() {
      await looking?.catch(() => undefined);
      await leaving;
      await connected?.client.close();
    },
  };
}
