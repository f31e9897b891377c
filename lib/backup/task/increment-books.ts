import type { Clock } from '../../clock.ts';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import type { CatchUpEvent, CaughtUp } from '../capture/catch-up.ts';
import type { BackupTaskResult } from './backup-result.ts';

/** Adds up what an increment stored. */
export class IncrementBooks {
  private readonly startedAt: Date;
  private plainBytes = 0;
  private storedBytes = 0;
  private pointTime: Date | undefined;

  constructor(clock: Clock) {
    this.startedAt = clock();
  }

  follow(event: CatchUpEvent): void {
    if (event.kind !== 'stored') return;
    const { last } = event.tail;
    this.plainBytes += last?.head.plainSize ?? 0;
    this.storedBytes += last?.size ?? 0;
    this.pointTime = last?.head.sealedAt;
  }

  /** All but where it lies. An increment is checked when it is merged; of itself it proves nothing. */
  async resultOf(
    { cluster, timeline, chain, revision, how }: CaughtUp,
    client: EtcdClient,
    signal: AbortSignal,
  ): Promise<Omit<BackupTaskResult, 'location'>> {
    const [answered] = (await client.statuses({ signal })).flatMap(({ status }) => status ?? []);
    return {
      cluster,
      point: { timeline, chain, revision },
      mode: 'INCREMENTAL',
      modeReason: '',
      snapshotBytes: this.plainBytes,
      storedBytes: this.storedBytes,
      endpoint: answered?.endpoint ?? '',
      memberId: answered?.header.memberId ?? 0n,
      etcdVersion: answered?.version ?? '',
      validation: {
        verdict: 'Skipped',
        proof: 'None',
        proofMessage: WHY[how],
        proofRevision: 0n,
        hashKv: 0,
        compactRevision: 0n,
        totalKeys: 0,
        sha256: '',
      },
      found: false,
      // It holds everything from when it was asked for.
      pointTimeMs: (this.pointTime ?? this.startedAt).getTime(),
    };
  }
}

const WHY: Readonly<Record<CaughtUp['how'], string>> = {
  segments: 'every change was captured in order; hashes that members kept are compared when it is merged',
  capture: 'a running capture has stored it; hashes that members kept are compared when it is merged',
  'nothing-new': 'nothing had changed since the last restore point',
  base: '',
};
