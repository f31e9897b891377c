import { ClockWatch } from '../../lib/backup/capture/clock-watch.ts';
import type { ChainTail } from '../../lib/repository/chain.ts';
import { joinedSteps } from '../../lib/repository/clock-steps.ts';
import type { SegmentOutline } from '../../lib/repository/segment-outline.ts';
import { SeenTimes } from '../../lib/repository/seen-times.ts';
import { TimeMap } from '../../lib/repository/time-map.ts';
import { secondsIn } from './restore-points.ts';

/** What happens, at seconds of true time. */
export interface CapturedClock {
  /** The clock goes wrong by so many seconds more. */
  readonly steps: readonly (readonly [at: number, bySeconds: number])[];
  /** The capture is down from the one to the other. */
  readonly pauses?: readonly (readonly [from: number, to: number])[];
  /** Default: yes. Processes of older versions don't look at their clocks. */
  readonly watched?: boolean;
  /** When it all ends. */
  readonly until: number;
  /** Revisions go on meanwhile, once a second, from 101 at second 1. Default: always. */
  readonly isBusy?: (second: number) => boolean;
}

export interface Captured {
  readonly segments: SegmentOutline[];
  /** The true state at a second. */
  revisionAt(second: number): bigint;
}

/** The segments that captures on a machine write whose clock steps, ten seconds each, without an etcd. */
export function capturedWith({
  steps,
  pauses = [],
  watched = true,
  until,
  isBusy = () => true,
}: CapturedClock): Captured {
  const seconds = Array.from({ length: until }, (_, index) => index + 1);
  const wall = (second: number): Date =>
    secondsIn(steps.reduce((now, [at, by]) => (at <= second ? now + by : now), second));
  const trueAt: [number, bigint][] = [];
  const segments: SegmentOutline[] = [];
  let [revision, from, writer, now] = [100n, 100n, 1n, 0];
  let [times, openedAt] = [new SeenTimes(), wall(0)];
  let tail: ChainTail | undefined;
  const start = (): ClockWatch =>
    new ClockWatch({
      ...{ writerId: writer, clock: () => wall(now), monotonicMs: () => now * 1000 },
      onStep: () => undefined,
    });
  let clock = start();
  const seal = (): void => {
    const entries = times.entries();
    const floor = segments.at(-1)?.times.last ?? new Date(0);
    const raised = entries.map(([one, at]): [bigint, Date] => [one, at > floor ? at : floor]);
    if (raised.length > 0) {
      const known = joinedSteps(segments.at(-1)?.clockSteps ?? [], clock.steps);
      segments.push({
        ...{ state: 'sound', chain: 'chain-1', name: `chain-1/${from}`, size: 100, sha256: `of ${from}` },
        ...{ gap: undefined, follows: from, from, to: revision, openedAtMs: openedAt.getTime() },
        ...{
          sealedAtMs: wall(now).getTime(),
          times: new TimeMap({ times: raised, to: revision, sealedAt: wall(now) }),
        },
        ...{
          watchedBy: watched ? writer : undefined,
          clockSteps: watched && known.length > 0 ? known : undefined,
        },
      });
      tail = tailOf(writer, revision, raised, wall(now), watched);
    }
    [times, from, openedAt] = [new SeenTimes(), revision, wall(now)];
  };
  for (const second of seconds) {
    now = second;
    if (isBusy(second)) trueAt.push([second, 100n + BigInt(trueAt.length) + 1n]);
    const isDown = pauses.some(([since, to]) => since <= second && second < to);
    if (pauses.some(([since]) => since === second)) seal();
    if (pauses.some(([, to]) => to === second)) {
      writer++;
      clock = start();
      if (tail !== undefined) clock.follows(tail);
      openedAt = wall(second);
    }
    if (isDown) continue;
    clock.look(revision);
    for (; revision < 100n + BigInt(trueAt.length);) times.saw(++revision, wall(second));
    if (second % 10 === 0) seal();
  }
  return {
    segments,
    revisionAt: (second) => trueAt.findLast(([at]) => at <= second)?.[1] ?? 100n,
  };
}

/** As much of one as whoever goes on looks at. */
function tailOf(
  id: bigint,
  revision: bigint,
  times: [bigint, Date][],
  sealedAt: Date,
  watched: boolean,
): ChainTail {
  const head = {
    ...({
      formatVersion: 1,
      cluster: 'prod',
      timeline: '000001',
      chain: 'chain-1',
      index: 0,
      from: 0n,
    } as const),
    ...{ to: revision, predecessor: '', etcdClusterId: 1n, tool: '', openedAt: sealedAt, sealedAt, times },
    ...{
      events: 1,
      puts: 1,
      plainSize: 1,
      batches: [],
      storedSize: 1,
      sha256: '',
      recipients: [],
      proofs: [],
    },
    writer: { id, kind: 'capture', sealIntervalMs: 10_000 } as const,
    leases: { complete: true, granted: [], gone: [] },
    clockSteps: watched ? [] : undefined,
  };
  return {
    ...{ cluster: 'prod', timeline: '000001', id: 'chain-1', etcdClusterId: 1n, revision, predecessor: '' },
    ...{ index: 1, recipients: [], last: { name: '', size: 1, sha256: '', head } },
  };
}
