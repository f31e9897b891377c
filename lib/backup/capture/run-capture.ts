import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import type { EphemeralFile } from '../../encryption/ephemeral-file.ts';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import type { ClockStep } from '../../repository/clock-steps.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { clusterName } from '../cluster-name.ts';
import { CaptureBreak } from './capture-break.ts';
import { captureSession } from './capture-session.ts';
import { CaptureProgress, type CaptureStatus } from './capture-status.ts';
import { ClockWatch } from './clock-watch.ts';
import { behindNewestBase, type RebaseEvent, type RebaseSettings, Rebasing } from './rebase.ts';
import { type CareEvent, careForChain } from './chain-care.ts';
import type { ChainCheckSettings } from './chain-check.ts';
import { SEAL_LIMITS, type SealLimits } from './sealer.ts';
import { SegmentQueue } from './segment-queue.ts';
import type { ChainWord, Gap, ShipEvent, TakeBase } from './ship-segments.ts';
import { Spill } from './spill.ts';
import { refuseUnfit } from './store-fitness.ts';
import type { WatchTrouble } from './watch-revisions.ts';

export interface CaptureRequest {
  /** Left out: the uid of namespace kube-system. */
  readonly cluster?: string | undefined;
  readonly limits?: Partial<SealLimits> | undefined;
  readonly buffer?: Partial<BufferSettings> | undefined;
  readonly rebase?: RebaseSettings | undefined;
  /** How often to look whether what was stored still stands. */
  readonly check?: ChainCheckSettings | undefined;
  /** How often all leases are listed, which finds those without keys. Default 60,000. */
  readonly leasesEveryMs?: number | undefined;
  /** Members with more bytes in use are not asked for hashes; see `KeptHashes`. */
  readonly proofBudgetBytes?: number | undefined;
  /** The store keeps segments undeletable until then. */
  readonly retainUntil?: (() => Date | undefined) | undefined;
  /** How long what waits may take to be stored after a polite end. Default 20,000. */
  readonly stopWithinMs?: number | undefined;
}

/** What may wait for a store that is slow or away, before a gap is accepted. */
export interface BufferSettings {
  /** Default 32 MiB. */
  readonly memoryBytes: number;
  /** Default 1 GiB; 0: nothing is put on disk. */
  readonly spillBytes: number;
}

export interface CaptureTools {
  readonly client: EtcdClient;
  readonly repository: Pick<Repository, 'find' | 'segments' | 'points' | 'listBackups' | 'beginTimeline'>;
  /** The store that the repository is in. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Takes a full backup, with nothing of it left when it rejects. */
  readonly takeBase: TakeBase;
  /** A fresh encrypted file for what waits. */
  readonly openSpill: () => Promise<EphemeralFile>;
  readonly onEvent: (event: CaptureEvent) => void;
  /** A polite end: what was seen is sealed and stored first. */
  readonly stop: AbortSignal;
  /** An end at once. */
  readonly signal?: AbortSignal | undefined;
  /** Longer waits between repeated bases; for tests. */
  readonly baseDelayMs?: ((basesInARow: number) => number) | undefined;
}

/** What happens, for whoever logs. */
export type CaptureEvent =
  | ShipEvent
  | RebaseEvent
  | CareEvent
  | { readonly kind: 'started'; readonly cluster: string; readonly writerId: bigint }
  | ({ readonly kind: 'watch-trouble' } & WatchTrouble)
  /** The clock of this machine went another way than time did. */
  | { readonly kind: 'clock-stepped'; readonly step: ClockStep }
  | { readonly kind: 'spill-failed'; readonly error: unknown }
  /** What waited was given up, and capture begins anew. */
  | { readonly kind: 'given-up'; readonly segments: number; readonly error: CaptureBreak };

/** A capture that runs. */
export interface Capture {
  status(): CaptureStatus;
  /** Resolves after a polite end; rejects with what ended it otherwise. */
  readonly ended: Promise<void>;
}

/**
 * Captures every change of one cluster into one repository, until it is stopped: goes on where the newest chain ends, or
 * takes a base under a watch that stands already; a gap that can't be avoided is recorded, and answered by a new base.
 *
 * Rejects with `capture.store-unfit` where two writers could overwrite each other's segments, with what makes etcd or
 * the store unusable at the start, with `capture.superseded` when another capture took over, and with the signal's reason.
 */
export async function startCapture(request: CaptureRequest, tools: CaptureTools): Promise<Capture> {
  const signal = tools.signal ?? new AbortController().signal;
  const starting = AbortSignal.any([signal, tools.stop]);
  await refuseUnfit(tools.store, starting);
  const cluster = await clusterName(tools.client, request.cluster, starting);
  const progress = new CaptureProgress(cluster, tools.clock);
  const ended = runWithCare(request, tools, cluster, progress, signal);
  return { status: () => progress.status(), ended };
}

/** What cares for the chain runs beside it all; where that fails as nobody expected, capture ends with that error. */
async function runWithCare(
  request: CaptureRequest,
  tools: CaptureTools,
  cluster: string,
  progress: CaptureProgress,
  signal: AbortSignal,
): Promise<void> {
  const { repository, takeBase, onEvent, baseDelayMs } = tools;
  const [ending, failed] = [new AbortController(), new AbortController()];
  const caring = careForChain({
    ...{ check: request.check, repository, takeBase, progress, onEvent, baseDelayMs },
    signal: AbortSignal.any([signal, tools.stop, ending.signal]),
  }).catch((error: unknown) => {
    failed.abort(error);
  });
  try {
    await run(request, tools, cluster, progress, AbortSignal.any([signal, failed.signal]));
  } finally {
    ending.abort();
    await caring;
  }
}

async function run(
  request: CaptureRequest,
  tools: CaptureTools,
  cluster: string,
  progress: CaptureProgress,
  signal: AbortSignal,
): Promise<void> {
  const { stop, onEvent } = tools;
  const limits = { ...SEAL_LIMITS, ...request.limits };
  const writer = { id: newWriterId(tools), kind: 'capture', sealIntervalMs: limits.intervalMs } as const;
  onEvent({ kind: 'started', cluster, writerId: writer.id });
  const rebasing = request.rebase && new Rebasing(request.rebase, onEvent, AbortSignal.any([signal, stop]));
  const clockWatch = new ClockWatch({
    ...{ clock: tools.clock, writerId: writer.id },
    onStep: (step) => {
      progress.clockStepped(step);
      onEvent({ kind: 'clock-stepped', step });
    },
  });
  let needsBase: Gap | undefined;
  // Since a segment was stored: what can't ever be stored must not make a tight loop of bases.
  let givenUp = 0;
  const delayMs = tools.baseDelayMs ?? baseDelayMs;
  try {
    for (;;) {
      const { spillBytes = SPILL_BYTES, memoryBytes = MEMORY_BYTES } = request.buffer ?? {};
      await using spill = new Spill({ open: tools.openSpill, bytes: spillBytes });
      const queue = new SegmentQueue<ChainWord>({
        ...{ memoryBytes, spill },
        onSpillFailed: (error) => {
          progress.troubled('disk', error);
          onEvent({ kind: 'spill-failed', error });
        },
      });
      progress.begins(queue);
      try {
        await captureSession({
          ...{
            client: tools.client,
            repository: tools.repository,
            takeBase: tools.takeBase,
            ...{ clock: tools.clock, clockWatch },
          },
          ...{ cluster, writer, limits, queue, progress, needsBase, stop, signal },
          beginTimeline: (etcdClusterId, reason) =>
            tools.repository.beginTimeline({ cluster, etcdClusterId, reason }, { signal }),
          proofBudgetBytes: request.proofBudgetBytes,
          leasesEveryMs: request.leasesEveryMs,
          retainUntil: request.retainUntil,
          stopWithinMs: request.stopWithinMs ?? STOP_WITHIN_MS,
          baseDelayMs: (basesInARow) => delayMs(givenUp + basesInARow),
          settledSegments: SETTLED_SEGMENTS,
          onTrouble: (trouble) => {
            progress.troubled('etcd', trouble.error);
            onEvent({ kind: 'watch-trouble', ...trouble });
          },
          onEvent: (event) => {
            progress.shipped(event);
            if (event.kind === 'stored') givenUp = 0;
            if (rebasing !== undefined) follow(rebasing, event, tools, signal);
            onEvent(event);
          },
        });
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof CaptureBreak) || stop.aborted) throw error;
        givenUp++;
        onEvent({ kind: 'given-up', segments: await queue.clear(), error });
        // After an overflow the chain may still be joined; what can't be stored or extended can't.
        const stored = progress.status().storedRevision ?? 0n;
        needsBase =
          error.kind === 'buffer-full'
            ? undefined
            : { after: stored, reason: error.message, history: undefined };
        await storeIsBack(tools, cluster, progress);
      }
    }
  } finally {
    await rebasing?.settled();
    progress.stopped();
  }
}

const MEMORY_BYTES = 32 << 20;
const SPILL_BYTES = 1 << 30;
const STOP_WITHIN_MS = 20_000;
/** About as many as make a base worth its while. */
const SETTLED_SEGMENTS = 30;

/** The first at once, then 15 s, 30 s … up to ten minutes. */
function baseDelayMs(basesInARow: number): number {
  return basesInARow === 0 ? 0 : Math.min(600_000, 15_000 * 2 ** (basesInARow - 1));
}

function newWriterId({ randomBytes }: CaptureTools): bigint {
  return Buffer.from(randomBytes(8)).readBigUInt64BE();
}

/** Tells the books of the chain's length what happened. */
function follow(rebasing: Rebasing, event: ShipEvent, tools: CaptureTools, signal: AbortSignal): void {
  if (event.kind === 'base') rebasing.base(event.backup.manifest.base.storedSize);
  else if (event.kind === 'stored') rebasing.stored(event.tail, event.segment.size);
  else if (event.kind === 'chain' && event.tail.index > 0) {
    void behindNewestBase(tools.repository, event.tail, signal)
      .then((found) => {
        if (found !== undefined) rebasing.base(found.storedSize, found);
      })
      .catch(() => undefined);
  }
}

/** Resolves when the store answers again, or a polite end was asked for. */
async function storeIsBack(tools: CaptureTools, cluster: string, progress: CaptureProgress): Promise<void> {
  const signal = tools.signal === undefined ? tools.stop : AbortSignal.any([tools.signal, tools.stop]);
  for (let attempt = 0; ; attempt++) {
    try {
      await delay(Math.min(30_000, 1_000 * 2 ** attempt), undefined, { signal });
      await tools.repository.segments.tails(cluster, { signal });
      return;
    } catch (error) {
      if (signal.aborted) return;
      progress.troubled('store', error);
    }
  }
}
