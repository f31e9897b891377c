import { GuardianError } from '../../guardian-error.ts';

/** A watch can't go on: etcd has dropped history that it would have had to deliver. Its code is `etcd.compacted`. */
export class EtcdCompactedError extends GuardianError {
  /** The oldest revision that can still be read. */
  readonly compactRevision: bigint;

  constructor(endpoint: string, compactRevision: bigint) {
    super(
      'etcd.compacted',
      `${endpoint} has compacted its history up to revision ${compactRevision}: the watch is behind`,
      {
        hint: 'what happened in between can no longer be had from etcd: start again from a new snapshot',
      },
    );
    this.compactRevision = compactRevision;
  }
}
