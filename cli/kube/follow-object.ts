import { GuardianError, hasCode } from '../../lib/guardian-error.ts';
import { createBackoff } from '../../lib/kubernetes/backoff.ts';
import type { KubeClient, KubeObject, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import { pause } from '../../lib/kubernetes/pause.ts';

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Told once each time the API server goes away, and with undefined when it is back. */
  readonly onAway: (error: GuardianError | undefined) => void;
  /** Errors that mean "not now" beside those that say so themselves, e.g. while a cluster is restored. */
  readonly alsoAway?: (error: GuardianError) => boolean;
}

/**
 * One object as it is, and then each time it changed, for as long as someone asks: over watches that end and API servers
 * that go away and come back. `undefined` stands for "there is none". Where the user may not watch, it is read every two
 * seconds. Rejects with the client's other errors, e.g. `kubernetes.forbidden`.
 */
export async function* followObject<T extends KubeObject>(
  client: KubeClient,
  reference: KubeReference,
  { signal, onAway, alsoAway = () => false }: FollowOptions,
): AsyncGenerator<T | undefined, void, undefined> {
  const backoff = createBackoff({ firstMs: 250, longestMs: 5_000, random: Math.random });
  let away = false;
  let mayWatch = true;
  for (;;) {
    signal.throwIfAborted();
    try {
      const object = await read<T>(client, reference, signal);
      if (away) onAway(undefined);
      away = false;
      yield object;
      const resourceVersion = object?.metadata.resourceVersion;
      if (!mayWatch || object === undefined || resourceVersion === undefined) {
        await pause(POLL_MS, signal);
        continue;
      }
      const { resource, namespace, name } = reference;
      const watched = client.watch<T>(resource, {
        ...{ namespace, resourceVersion, signal },
        fieldSelector: `metadata.name=${name}`,
      });
      for await (const event of watched) {
        backoff.reset();
        if (event.type === 'DELETED') yield undefined;
        else if (event.type !== 'BOOKMARK') yield event.object;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof GuardianError)) throw error;
      const { code, message, retryable } = error;
      if (code === 'kubernetes.gone') continue;
      if (code === 'kubernetes.forbidden' && mayWatch && message.startsWith('watch ')) {
        mayWatch = false;
        continue;
      }
      if (!retryable && !alsoAway(error)) throw error;
      if (!away) onAway(error);
      away = true;
      await backoff.pause(signal);
    }
  }
}

const POLL_MS = 2_000;

async function read<T extends KubeObject>(
  client: KubeClient,
  reference: KubeReference,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await client.get<T>(reference, { signal });
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return undefined;
    throw error;
  }
}
