import { encodeKeyValue, encodeTombstone } from '../../lib/etcd/mvcc/key-value.ts';
import type { ChainTail } from '../../lib/repository/chain.ts';
import type { ClockStep } from '../../lib/repository/clock-steps.ts';
import type { Repository, SoundBackup } from '../../lib/repository/repository.ts';
import { startSegment } from '../../lib/repository/start-segment.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { repositorySettings, repositoryWithBackup } from './repository.ts';
import { CAPTURE } from './segments.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

/** What becomes of a key in one revision: a value, or its deletion. */
export type CapturedRevision = readonly [key: string, value: string | null];

/** A store with one backup, of revision 21 as `smallSnapshot` makes it, and what was captured behind it. */
export interface CapturedStore {
  readonly repository: Repository;
  readonly backup: SoundBackup;
  /** When revision 0 would have been seen; each further one is a second later. */
  readonly epoch: Date;
  /** Captures revisions behind the last one, as one segment, which tells these steps of the clock. */
  capture(revisions: readonly CapturedRevision[], clockSteps?: readonly ClockStep[]): Promise<ChainTail>;
}

/** Made in `folder`/store, without keys. Everything captured was seen a while ago. */
export async function capturedStore(folder: TemporaryFolder): Promise<CapturedStore> {
  const hourAgo = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
  const clock = (): Date => new Date(hourAgo);
  const settings = repositorySettings(new LocalStore(folder.join('store')), { clock });
  const { repository, backup } = await repositoryWithBackup(settings);
  const epoch = new Date(hourAgo);
  const live = new Map(
    Array.from({ length: 20 }, (_, index) => {
      const name = `/registry/configmaps/default/config-${String(index).padStart(5, '0')}`;
      return [name, { created: BigInt(index + 2), version: 1n }];
    }),
  );
  let tail = repository.segments.tailOf(backup);
  return {
    ...{ repository, backup, epoch },
    async capture(revisions, clockSteps = []) {
      let revision = tail.revision;
      const seen = (): Date => new Date(hourAgo + Number(revision) * 1000);
      const segment = startSegment({ from: revision, writer: CAPTURE, clock: seen });
      for (const [name, value] of revisions) {
        revision++;
        const key = Buffer.from(name);
        if (value === null) {
          live.delete(name);
          segment.add(revision, encodeTombstone(key), true);
        } else {
          const { created, version } = live.get(name) ?? { created: revision, version: 0n };
          live.set(name, { created, version: version + 1n });
          const record = { createRevision: created, modRevision: revision, version: version + 1n, lease: 0n };
          segment.add(revision, encodeKeyValue({ key, value: Buffer.from(value), ...record }), false);
        }
        segment.endRevision();
      }
      const leases = { complete: true, granted: [], gone: [] };
      const draft = await segment.finish({ leases, proofs: [], clockSteps: [...clockSteps], gap: undefined });
      tail = await repository.segments.append(tail, draft);
      return tail;
    },
  };
}
