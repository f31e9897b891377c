import type { ChainBase, ChainTail, SegmentLog } from '../../repository/chain.ts';
import type { Manifest } from '../../repository/manifest.ts';
import type { Repository } from '../../repository/repository.ts';

/** When a chain has become long enough for a new base; capture goes on meanwhile. */
export interface RebaseSettings {
  /** Makes one, by merging what is stored or from etcd. Resolves to it, or to undefined when there is to be none now. */
  readonly rebase: (tail: ChainTail, signal: AbortSignal) => Promise<RebasedTo | undefined>;
  /** Segments behind the newest base. */
  readonly segments: number;
  /** Their bytes as stored, as a share of the base's. */
  readonly storedShare: number;
  /** Their share doesn't count below so many bytes as stored: a small base costs little to read behind. Default 0. */
  readonly leastBytes?: number | undefined;
  /** After one was made or failed, none for so long. */
  readonly pauseMs: number;
}

export type RebasedTo = ChainBase & { readonly manifest: Pick<Manifest, 'etcd' | 'snapshot' | 'base'> };

/** Some ten hours of a usual cluster: its segments have then about as many bytes as its base. */
export const REBASE = { segments: 5000, storedShare: 1, leastBytes: 16 << 20, pauseMs: 600_000 } as const;

export type RebaseEvent =
  | { readonly kind: 'rebasing'; readonly tail: ChainTail }
  | { readonly kind: 'rebased'; readonly backup: RebasedTo }
  | { readonly kind: 'rebase-failed'; readonly error: unknown };

export interface BehindBase {
  readonly segments: number;
  readonly storedBytes: number;
}

/** What stands in a chain behind the newest base of its timeline; undefined when there is no sound base. */
export async function behindNewestBase(
  repository: Pick<Repository, 'listBackups'> & { readonly segments: Pick<SegmentLog, 'list'> },
  tail: ChainTail,
  signal: AbortSignal,
): Promise<(BehindBase & { readonly storedSize: number }) | undefined> {
  const backups = await repository.listBackups(tail.cluster, { signal });
  for (const backup of backups) {
    if (backup.state !== 'sound' || backup.timeline !== tail.timeline) continue;
    const { base, snapshot } = backup.manifest;
    if (snapshot.currentRevision > tail.revision) continue;
    let segments = 0;
    let storedBytes = 0;
    for await (const segment of repository.segments.list(tail, { after: snapshot.currentRevision, signal })) {
      segments++;
      if (segment.state === 'sound') storedBytes += segment.size;
    }
    return { segments, storedBytes, storedSize: base.storedSize };
  }
  return undefined;
}

/** Keeps count of what stands behind the newest base. */
export class Rebasing {
  private readonly settings: RebaseSettings;
  private readonly onEvent: (event: RebaseEvent) => void;
  private readonly signal: AbortSignal;
  private segments = 0;
  private storedBytes = 0;
  /** Of the newest base, as stored; undefined while it isn't known. */
  private baseBytes: number | undefined;
  private notBeforeMs = 0;
  private underWay: Promise<void> | undefined;

  constructor(settings: RebaseSettings, onEvent: (event: RebaseEvent) => void, signal: AbortSignal) {
    this.settings = settings;
    this.onEvent = onEvent;
    this.signal = signal;
  }

  /** A base was taken, or found; what was stored behind it counts from here on. */
  base(storedSize: number, behind: BehindBase = { segments: 0, storedBytes: 0 }): void {
    this.baseBytes = storedSize;
    this.segments = behind.segments;
    this.storedBytes = behind.storedBytes;
  }

  stored(tail: ChainTail, bytes: number): void {
    this.segments++;
    this.storedBytes += bytes;
    if (this.underWay !== undefined || performance.now() < this.notBeforeMs || !this.isLong()) return;
    this.underWay = this.rebase(tail).finally(() => {
      this.underWay = undefined;
      this.notBeforeMs = performance.now() + this.settings.pauseMs;
    });
  }

  /** Resolves when none is being made. */
  async settled(): Promise<void> {
    await this.underWay;
  }

  private isLong(): boolean {
    const { segments, storedShare, leastBytes = 0 } = this.settings;
    if (this.segments >= segments) return true;
    if (this.baseBytes === undefined) return false;
    return this.storedBytes > Math.max(storedShare * this.baseBytes, leastBytes);
  }

  private async rebase(tail: ChainTail): Promise<void> {
    const { segments, storedBytes } = this;
    this.onEvent({ kind: 'rebasing', tail });
    try {
      const backup = await this.settings.rebase(tail, this.signal);
      if (backup === undefined) return;
      this.baseBytes = backup.manifest.base.storedSize;
      this.segments -= segments;
      this.storedBytes -= storedBytes;
      this.onEvent({ kind: 'rebased', backup });
    } catch (error) {
      if (!this.signal.aborted) this.onEvent({ kind: 'rebase-failed', error });
    }
  }
}
