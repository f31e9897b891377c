import type { KubeObject, KubeResource } from '../lib/kubernetes/kube-client.ts';
import { keyOf } from '../lib/kubernetes/object-key.ts';
import { type Change, startReflector } from '../lib/kubernetes/reflector.ts';
import { errorFields, errorText } from '../lib/log-lines.ts';
import type { ControlPlaneTools } from './tools.ts';

type Listener = (key: string, change: Change) => void;

/** The copy of all objects of a kind that the controllers of one leadership share. */
export interface SharedWatch<T> {
  get(key: string): T | undefined;
  list(): readonly T[];
  /** Told of every change, and at once of all that are known already. */
  listen(listener: Listener): void;
  readonly synced: Promise<void>;
}

export type WatchOf<T> = (
  tools: Pick<ControlPlaneTools, 'kube' | 'log' | 'random'>,
  leading: AbortSignal,
) => SharedWatch<T>;

/** One watch for each leadership, whoever asks first. `plural` names the kind in the log. */
export function sharedWatch<T extends KubeObject>(resource: KubeResource, plural: string): WatchOf<T> {
  const watches = new WeakMap<AbortSignal, SharedWatch<T>>();
  return (tools, signal) => {
    const known = watches.get(signal);
    if (known !== undefined) return known;
    const listeners: Listener[] = [];
    const reflector = startReflector<T>({
      ...{ client: tools.kube, resource, signal, random: tools.random },
      onChange: (key, change) => {
        for (const listener of listeners) listener(key, change);
      },
      onTrouble: (error) => {
        const text = `${plural}: ${errorText(error)}`;
        tools.log.write('warning', 'watch-trouble', text, errorFields(error));
      },
    });
    const watch: SharedWatch<T> = {
      get: (key) => reflector.get(key),
      list: () => reflector.list(),
      listen(listener) {
        for (const object of reflector.list()) listener(keyOf(object), 'added');
        listeners.push(listener);
      },
      synced: reflector.synced,
    };
    watches.set(signal, watch);
    return watch;
  };
}
