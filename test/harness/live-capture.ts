import { randomBytes } from 'node:crypto';
import {
  type Capture,
  type CaptureEvent,
  type CaptureRequest,
  type CaptureTools,
  startCapture,
} from '../../lib/backup/capture/run-capture.ts';
import { fullBackup } from '../../lib/backup/full-backup.ts';
import { openEphemeralFile } from '../../lib/encryption/ephemeral-file.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { Repository, RepositorySettings } from '../../lib/repository/repository.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { eventually } from './eventually.ts';
import { repositorySettings } from './repository.ts';

export interface LiveCaptureOptions {
  readonly endpoints: readonly string[];
  readonly store: ObjectStore;
  /** Default seals after 200 ms. */
  readonly request?: CaptureRequest;
  readonly tools?: Partial<CaptureTools>;
  readonly settings?: Partial<RepositorySettings>;
  readonly connectTimeoutMs?: number;
}

/** A capture of cluster `prod` in this process. */
export interface LiveCapture extends AsyncDisposable, Capture {
  readonly repository: Repository;
  readonly client: EtcdClient;
  readonly events: readonly CaptureEvent[];
  /** Events of one kind so far. */
  of<Kind extends CaptureEvent['kind']>(kind: Kind): Extract<CaptureEvent, { kind: Kind }>[];
  /** Waits for `count` events of that kind. */
  reached(kind: CaptureEvent['kind'], count?: number): Promise<void>;
  /** Waits until a revision is in the store. */
  stored(revision: bigint): Promise<void>;
  /** Ends it politely. */
  stop(): Promise<void>;
  /** Ends it at once. */
  abort(): Promise<void>;
}

export const CLUSTER = 'prod';

export async function startLiveCapture(options: LiveCaptureOptions): Promise<LiveCapture> {
  const { endpoints, store, request, tools, settings } = options;
  const client = connectEtcd({ endpoints, connectTimeoutMs: options.connectTimeoutMs ?? 30_000 });
  const repository = await openRepository(repositorySettings(store, settings));
  const [stopping, aborting] = [new AbortController(), new AbortController()];
  const clock = settings?.clock ?? ((): Date => new Date());
  const events: CaptureEvent[] = [];
  const capture = await startCapture(
    { cluster: CLUSTER, leasesEveryMs: 300, ...request, limits: { intervalMs: 200, ...request?.limits } },
    {
      ...{ client, repository, store, clock, randomBytes },
      takeBase: (signal) => {
        const wanted = {
          cluster: CLUSTER,
          proof: { mode: 'off' },
          streamLimitMs: 60_000,
          attempts: 3,
        } as const;
        return fullBackup(wanted, { client, repository, clock, onEvent: () => undefined, signal });
      },
      openSpill: () => openEphemeralFile('/tmp'),
      onEvent: (event) => {
        events.push(event);
      },
      ...{ stop: stopping.signal, signal: aborting.signal, baseDelayMs: () => 0 },
      ...tools,
    },
  );
  capture.ended.catch(() => undefined);
  const of = <Kind extends CaptureEvent['kind']>(kind: Kind): Extract<CaptureEvent, { kind: Kind }>[] =>
    events.filter((event): event is Extract<CaptureEvent, { kind: Kind }> => event.kind === kind);
  const failed = capture.ended.then(() => {
    throw new Error('the capture ended');
  });
  failed.catch(() => undefined);
  const wait = (what: string, ask: () => boolean): Promise<unknown> =>
    Promise.race([eventually(what, ask), failed]);
  return {
    ...{ repository, client, events, of },
    ended: capture.ended,
    status: () => capture.status(),
    async reached(kind, count = 1) {
      await wait(`${count} × ${kind}`, () => of(kind).length >= count);
    },
    async stored(revision) {
      await wait(`revision ${revision} is stored`, () => (capture.status().storedRevision ?? 0n) >= revision);
    },
    async stop() {
      stopping.abort();
      await capture.ended;
    },
    async abort() {
      aborting.abort();
      await capture.ended.catch(() => undefined);
    },
    async [Symbol.asyncDispose]() {
      aborting.abort();
      await capture.ended.catch(() => undefined);
      await client.close();
    },
  };
}
