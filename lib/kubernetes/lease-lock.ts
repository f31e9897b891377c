import type { Clock } from '../clock.ts';
import { hasCode } from '../guardian-error.ts';
import type { KubeClient, KubeObject, KubeReference } from './kube-client.ts';
import { microTime } from './micro-time.ts';

/** What of a Lease this program reads and writes. */
export interface Lease extends KubeObject {
  readonly spec?: LeaseSpec;
}

export interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  /** For people: nobody's clock but one's own decides anything. */
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export interface LeaseLockOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Nobody else's, not even that of the same pod before its restart. */
  readonly identity: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** In milliseconds; never goes back. */
  readonly monotonic: () => number;
}

/** Holding the Lease, as the API server confirmed it. */
export interface Hold {
  /** By the monotonic clock, before the confirmed write left: nobody can have seen it earlier. */
  readonly sinceMs: number;
  /** By the wall clock, in the same moment. */
  readonly since: Date;
  /** How often the Lease went from one holder to another. */
  readonly transitions: number;
}

/** One candidate's view of a Lease. Calls must not overlap. */
export interface LeaseLock {
  /** Takes or renews it; undefined: another holds it. Rejects with the client's errors: then nothing is known. */
  attempt(signal: AbortSignal): Promise<Hold | undefined>;
  /** As last seen; empty: nobody. */
  holder(): string;
  /** Gives it up, if it is still ours. */
  release(signal: AbortSignal): Promise<void>;
}

const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' } as const;

/**
 * The rule that Kubernetes' own components follow: whoever sees a Lease unchanged for its whole duration, by the own
 * monotonic clock since it was first seen so, may take it. Each write is only over what was read.
 */
export function leaseLock(options: LeaseLockOptions): LeaseLock {
  const { client, namespace, name, identity, leaseMs, clock, monotonic } = options;
  const reference: KubeReference = { resource: LEASES, namespace, name };
  let seen: { readonly lease: Lease; readonly atMs: number } | undefined;

  const see = (lease: Lease): void => {
    if (
      seen?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion ||
      seen?.lease.metadata.uid !== lease.metadata.uid
    )
      seen = { lease, atMs: monotonic() };
  };
  const write = async (spec: LeaseSpec, signal: AbortSignal): Promise<void> => {
    const lease = seen?.lease;
    if (lease === undefined) {
      const fresh = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace },
        spec,
      };
      see(await client.create<Lease>(LEASES, namespace, fresh, { signal }));
    } else see(await client.replace<Lease>(reference, { ...lease, spec }, { signal }));
  };
  const take = async (signal: AbortSignal): Promise<Hold> => {
    const sinceMs = monotonic();
    const since = clock();
    const spec = seen?.lease.spec ?? {};
    const isOurs = spec.holderIdentity === identity;
    const transitions = (spec.leaseTransitions ?? 0) + (isOurs || seen === undefined ? 0 : 1);
    const time = microTime(since);
    await write(
      {
        ...{
          holderIdentity: identity,
          leaseDurationSeconds: Math.ceil(leaseMs / 1000),
          leaseTransitions: transitions,
        },
        ...{ acquireTime: isOurs ? (spec.acquireTime ?? time) : time, renewTime: time },
      },
      signal,
    );
    return { sinceMs, since, transitions };
  };
  const look = async (signal: AbortSignal): Promise<void> => {
    try {
      see(await client.get<Lease>(reference, { signal }));
    } catch (error) {
      if (!hasCode(error, 'kubernetes.not-found')) throw error;
      seen = undefined;
    }
  };
  const isFree = (): boolean => {
    const spec = seen?.lease.spec;
    if (seen === undefined || (spec?.holderIdentity ?? '') === '') return true;
    if (spec?.holderIdentity === identity) return true;
    const lastsMs = Math.max(leaseMs, (spec?.leaseDurationSeconds ?? 0) * 1000);
    return monotonic() - seen.atMs >= lastsMs;
  };
  const holder = (): string => seen?.lease.spec?.holderIdentity ?? '';

  return {
    holder,
    async attempt(signal) {
      if (holder() === identity) {
        try {
          return await take(signal);
        } catch (error) {
          // Written by another, or by ourselves with a lost reply.
          if (!isOvertaken(error)) throw error;
        }
      }
      await look(signal);
      if (!isFree()) return undefined;
      try {
        return await take(signal);
      } catch (error) {
        if (!isOvertaken(error)) throw error;
        await look(signal);
        return undefined;
      }
    },
    async release(signal) {
      if (holder() !== identity) return;
      const { leaseTransitions = 0 } = seen?.lease.spec ?? {};
      const time = microTime(clock());
      await write(
        ...([
          {
            holderIdentity: '',
            leaseDurationSeconds: 1,
            leaseTransitions,
            acquireTime: time,
            renewTime: time,
          },
          signal,
        ] as const),
      );
    },
  };
}

function isOvertaken(error: unknown): boolean {
  return ['kubernetes.conflict', 'kubernetes.exists', 'kubernetes.not-found'].some((code) =>
    hasCode(error, code),
  );
}
