import { GuardianError } from '../../lib/guardian-error.ts';
import { revisionOf, type TimelineContent } from '../../lib/repository/point-spans.ts';
import type { SoundBackup } from '../../lib/repository/repository.ts';
import type { ListedOutline, SegmentOutline } from '../../lib/repository/segment-outline.ts';
import { TimeMap } from '../../lib/repository/time-map.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { repositorySettings, repositoryWithBackup } from './repository.ts';
import type { SeededRandom } from './seeded-random.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** Revision r of hand-made points was seen r seconds after this. */
export const EPOCH = new Date('2026-11-22T00:00:00Z');

export function secondsIn(seconds: number): Date {
  return new Date(EPOCH.getTime() + seconds * 1000);
}

/** Makes bases out of one that a repository wrote, without storing each. */
export async function baseMaker(): Promise<BaseMaker> {
  await using folder = await temporaryFolder();
  const { backup } = await repositoryWithBackup(repositorySettings(new LocalStore(folder.path)));
  return (revision, { completedAt = secondsIn(revision), timeline = backup.timeline, ...over } = {}) => {
    const id = `${secondsIn(revision)
      .toISOString()
      .replace(/[-:]|\.[0-9]{3}/g, '')}-${String(revision).padStart(8, '0')}`;
    const snapshot = { ...backup.manifest.snapshot, currentRevision: BigInt(revision) };
    return {
      ...backup,
      timeline,
      id,
      manifest: { ...backup.manifest, id, timeline, completedAt, snapshot, ...over },
    };
  };
}

export type BaseMaker = (revision: number, over?: BaseOver) => SoundBackup;

type BaseOver = Partial<SoundBackup['manifest']>;

interface SegmentOver {
  readonly chain?: string;
  readonly size?: number;
  readonly gap?: SegmentOutline['gap'];
  /** That a revision takes. */
  readonly secondsEach?: number;
}

/** A segment of (from, to] in which every revision has a time of its own. */
export function segmentOf(from: number, to: number, over: SegmentOver = {}): SegmentOutline {
  const { chain = 'chain-1', size = 100, gap, secondsEach = 1 } = over;
  const revisions = Array.from({ length: to - from }, (_, index) => from + 1 + index);
  const times = revisions.map((revision): [bigint, Date] => [
    BigInt(revision),
    secondsIn(revision * secondsEach),
  ]);
  return {
    ...{ state: 'sound', chain, name: `${chain}/${from}`, size, sha256: `of ${from}`, gap },
    ...{ follows: BigInt(from), from: BigInt(from), to: BigInt(to) },
    times: new TimeMap({ times, to: BigInt(to), sealedAt: secondsIn(to) }),
    ...{ openedAtMs: secondsIn(from).getTime(), sealedAtMs: secondsIn(to).getTime() },
    ...{ watchedBy: undefined, clockSteps: undefined },
  };
}

/** One behind the other. */
export function segmentsAt(bounds: readonly number[], over: SegmentOver = {}): SegmentOutline[] {
  return bounds.slice(1).map((to, index) => segmentOf(bounds[index] ?? 0, to, over));
}

export function brokenSegment(from: number, chain = 'chain-1'): ListedOutline {
  const name = `${chain}/${from}`;
  const problem = new GuardianError('repository.damaged', `${name} is damaged`);
  return { state: 'broken', chain, name, from: BigInt(from), problem };
}

export function contentOf(
  bases: readonly SoundBackup[],
  segments: readonly ListedOutline[] = [],
  trimmed: TimelineContent['trimmed'] = [],
): TimelineContent {
  return { cluster: 'prod', timeline: '000001', bases, segments, trimmed };
}

/** Up to about revision 130: chains with bases before, under and behind them, gaps, breaks, overlaps. */
export function randomContent(random: SeededRandom, base: BaseMaker): TimelineContent {
  const segments: TimelineContent['segments'][number][] = [];
  const bases: SoundBackup[] = [];
  for (let chain = 1, at = random.integer(1, 20); at < 110; chain++) {
    bases.push(base(at + random.integer(0, 3)));
    for (let count = random.integer(0, 6); count > 0; count--) {
      const to = at + random.integer(1, 12);
      const broken = random.next() < 0.1;
      segments.push(
        broken ? brokenSegment(at, `chain-${chain}`) : segmentOf(at, to, { chain: `chain-${chain}` }),
      );
      if (random.next() < 0.2) bases.push(base(random.integer(at, to + 1)));
      at = to;
    }
    at += random.integer(-5, 15);
  }
  bases.sort((a, b) => Number(revisionOf(a) - revisionOf(b)));
  segments.sort((a, b) => Number(a.from - b.from));
  return contentOf(bases, segments);
}
