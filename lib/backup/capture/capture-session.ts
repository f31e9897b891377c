import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { SegmentFacts } from '../../repository/chain.ts';
import type { Repository } from '../../repository/repository.ts';
import { CaptureBreak, otherHistory } from './capture-break.ts';
import { type CapturePosition, positionBehind, positionNow } from './capture-position.ts';
import type { CaptureProgress } from './capture-status.ts';
import type { ClockWatch } from './clock-watch.ts';
import { KeptHashes } from './kept-hashes.ts';
import { LeaseTable } from './lease-table.ts';
import { type SealLimits, Sealer } from './sealer.ts';
import type { SegmentQueue } from './segment-queue.ts';
import { type ChainWord, type Gap, shipSegments, type ShipSettings } from './ship-segments.ts';
import { watchRevisions, type WatchTrouble } from './watch-revisions.ts';

export interface SessionSettings extends Pick<
  ShipSettings,
  'takeBase' | 'beginTimeline' | 'retainUntil' | 'onEvent' | 'baseDelayMs' | 'settledSegments'
> {
  readonly client: EtcdClient;
  readonly repository: Pick<Repository, 'find' | 'segments'>;
  readonly cluster: string;
  readonly writer: SegmentFacts['writer'];
  readonly limits: SealLimits;
  readonly clock: Clock;
  readonly clockWatch: ClockWatch;
  readonly queue: SegmentQueue<ChainWord>;
  readonly progress: CaptureProgress;
  readonly proofBudgetBytes: number | undefined;
  readonly leasesEveryMs: number | undefined;
  /** Why no chain in the store can be extended; undefined: look for one. */
  readonly needsBase: Gap | undefined;
  readonly onTrouble: (trouble: WatchTrouble) => void;
  /** How long what waits may take to be stored after a polite end. */
  readonly stopWithinMs: number;
  /** Ends it politely: what was seen is sealed and stored. */
  readonly stop: AbortSignal;
  readonly signal: AbortSignal;
}

/**
 * Watches and stores side by side, over any number of gaps that etcd tears. Resolves after a polite end. Rejects with a
 * `CaptureBreak` when what waits in the queue is of no use any more, and with what ends capture altogether.
 */
export async function captureSession(settings: SessionSettings): Promise<void> {
  const { queue, client, progress, repository } = settings;
  const ending = new AbortController();
  const signal = AbortSignal.any([settings.signal, ending.signal]);
  const leases = new LeaseTable(client, { listEveryMs: settings.leasesEveryMs, signal });
  const hashes = new KeptHashes(client, {
    ...{ budgetBytes: settings.proofBudgetBytes, signal },
    endpoints: () => {
      const { watched } = progress;
      if (watched === undefined) return [];
      return [watched, ...client.endpoints.filter((endpoint) => endpoint !== watched)];
    },
  });
  const wake = (): void => {
    queue.wake();
  };
  const hurry = (): void => {
    // Without a chain there is nothing to store behind.
    const withinMs = progress.hasChain ? settings.stopWithinMs : 0;
    setTimeout(() => {
      ending.abort(stoppedShort());
    }, withinMs).unref();
  };
  signal.addEventListener('abort', wake);
  settings.stop.addEventListener('abort', hurry);
  const shipping = shipSegments(
    { ...settings, log: repository.segments, writerId: settings.writer.id },
    signal,
  );
  const work = [new Watcher(settings, leases, hashes, signal).run(), shipping];
  // These end with the signal; where one fails before, as nobody expected, the session ends with its error.
  const helpers = [leases.run(), hashes.run()];
  const helperFailed = Promise.all(helpers).then(() => new Promise<never>(() => undefined));
  helperFailed.catch(() => undefined);
  try {
    await Promise.race([Promise.all(work), helperFailed]);
  } catch (error) {
    if (!settings.stop.aborted || settings.signal.aborted || progress.hasChain) throw error;
  } finally {
    settings.stop.removeEventListener('abort', hurry);
    ending.abort(stoppedShort());
    await Promise.allSettled([...work, ...helpers]);
    signal.removeEventListener('abort', wake);
  }
}

function stoppedShort(): GuardianError {
  return new GuardianError('capture.stopped-short', 'what was captured last could not be stored in time', {
    hint: 'The next capture fetches it from etcd, if that has not compacted it by then.',
  });
}

/** The half that watches. */
class Watcher {
  private readonly settings: SessionSettings;
  private readonly leases: LeaseTable;
  private readonly hashes: KeptHashes;
  private readonly signal: AbortSignal;
  private brokenAtMs = -Infinity;
  private breaksInARow = 0;

  constructor(settings: SessionSettings, leases: LeaseTable, hashes: KeptHashes, signal: AbortSignal) {
    this.settings = settings;
    this.leases = leases;
    this.hashes = hashes;
    this.signal = AbortSignal.any([signal, settings.stop]);
  }

  async run(): Promise<void> {
    const { queue, stop } = this.settings;
    const positions = this.positions();
    try {
      for (let broken: CaptureBreak | undefined; ;) {
        const { value: position } = await positions.next(broken);
        if (position === undefined) return;
        broken = await this.follow(position);
      }
    } catch (error) {
      if (!stop.aborted || error !== stop.reason) throw error;
    } finally {
      queue.end();
    }
  }

  /** Where to begin, and after each break again. */
  private async *positions(): AsyncGenerator<CapturePosition, void, CaptureBreak | undefined> {
    const { repository, cluster, needsBase, clockWatch } = this.settings;
    let gap = needsBase;
    const tails =
      needsBase === undefined ? await repository.segments.tails(cluster, { signal: this.signal }) : [];
    for (const tail of tails) {
      clockWatch.follows(tail);
      const position = await positionBehind(repository, tail, gap, this.signal);
      const broken = yield position;
      gap = earlier(gap, gapAfter(position, broken));
    }
    for (;;) {
      const position = await this.now(gap);
      gap = gapAfter(position, yield position);
    }
  }

  private async now(gap: Gap | undefined): Promise<CapturePosition> {
    for (;;) {
      try {
        return await positionNow(this.settings.client, gap, this.signal);
      } catch (error) {
        this.signal.throwIfAborted();
        if (!(error instanceof GuardianError)) throw error;
        this.settings.onTrouble({ endpoint: '', error, delayMs: AGAIN_AFTER_MS });
        await delay(AGAIN_AFTER_MS, undefined, { signal: this.signal });
      }
    }
  }

  /** Captures behind a position until it breaks; rejects with the reason when it ends otherwise. */
  private async follow(position: CapturePosition): Promise<CaptureBreak> {
    const { settings, leases, hashes, signal } = this;
    const { client, queue, progress, writer, limits, clock, clockWatch, onTrouble } = settings;
    if (position.word.gap?.history !== undefined) clockWatch.clear();
    const sealer = new Sealer({
      ...{ after: position.after, writer, limits, clock, leases },
      takeProofs: (to) => hashes.take(to),
      clockSteps: () => clockWatch.steps,
      onSealed: async (segment) => {
        if (!(await queue.put(segment))) throw bufferFull(queue);
      },
    });
    progress.seals(sealer);
    leases.tellAgain();
    let told = false;
    let reached = position.after;
    const look = (): void => {
      clockWatch.look(reached);
    };
    look();
    const looking = setInterval(look, LOOK_EVERY_MS);
    try {
      for await (const piece of watchRevisions(client, { ...position, onTrouble, signal })) {
        look();
        progress.saw(piece);
        // A base is taken as soon as the watch stands; a chain is gone on with once etcd has shown that it can be.
        if (!told && (position.word.kind === 'begin' || piece.kind !== 'connected')) {
          queue.say(position.word);
          told = true;
        }
        await sealer.add(piece);
        reached = piece.whole;
      }
      throw new Error('a watch ended by itself');
    } catch (error) {
      const isBuffer = error instanceof CaptureBreak && error.kind === 'buffer-full';
      if (!isBuffer) await sealer.sealNow();
      if (!(error instanceof CaptureBreak) || isBuffer) throw error;
      await this.pauseAfterBreak();
      return error;
    } finally {
      clearInterval(looking);
      sealer.stop();
    }
  }

  private async pauseAfterBreak(): Promise<void> {
    const now = performance.now();
    this.breaksInARow = now - this.brokenAtMs < SETTLED_MS ? this.breaksInARow + 1 : 0;
    this.brokenAtMs = now;
    if (this.breaksInARow === 0) return;
    const ms = Math.min(LONGEST_PAUSE_MS, AGAIN_AFTER_MS * 2 ** (this.breaksInARow - 1));
    await delay(ms, undefined, { signal: this.signal });
  }
}

/** Nothing tells that a clock was set. */
const LOOK_EVERY_MS = 1_000;
const AGAIN_AFTER_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const SETTLED_MS = 120_000;

function gapAfter({ after, word }: CapturePosition, broken: CaptureBreak | undefined): Gap | undefined {
  if (broken === undefined) return undefined;
  const from = word.kind === 'resume' ? word.tail.revision : after;
  return { after: from, reason: broken.message, history: otherHistory(broken) };
}

/** Of two gaps with nothing stored in between, the one that both make. */
function earlier(first: Gap | undefined, second: Gap | undefined): Gap | undefined {
  return first === undefined || second === undefined ? (first ?? second) : { ...second, after: first.after };
}

function bufferFull(queue: SegmentQueue<ChainWord>): CaptureBreak {
  const { segments, bytes } = queue.waiting();
  return new CaptureBreak(
    'buffer-full',
    `the store was away for too long: ${segments} segments of ${bytes} bytes waited for it, and there is room for no more`,
  );
}
