import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { repositorySettings, repositoryWithBackup } from '../../../test/harness/repository.ts';
import {
  CAPTURE,
  CATCH_UP,
  entriesOfSegment,
  listed,
  readEntries,
  segmentDraft,
} from '../../../test/harness/segments.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { ChainTail, SegmentDraft } from '../../repository/chain.ts';
import type { Repository } from '../../repository/repository.ts';
import { FaultInjectingStore, type FaultPlan } from '../../storage/fault-injecting-store.ts';
import { LocalStore } from '../../storage/local-store.ts';
import { SegmentQueue } from './segment-queue.ts';
import { type BaseTaken, type ChainWord, type ShipEvent, shipSegments } from './ship-segments.ts';

interface Shipped {
  readonly repository: Repository;
  /** Behind the base, of revision 21. */
  readonly tail: ChainTail;
  readonly events: ShipEvent[];
  readonly ship: (...queued: (SegmentDraft | ChainWord)[]) => Promise<void>;
}

/** Ships into a store of its own, until what was queued is through. */
async function shipping(path: string, plan: FaultPlan = () => undefined): Promise<Shipped> {
  const settings = repositorySettings(new FaultInjectingStore(new LocalStore(path), plan));
  const { repository, backup } = await repositoryWithBackup(settings);
  const events: ShipEvent[] = [];
  return {
    ...{ repository, tail: repository.segments.tailOf(backup), events },
    ship: async (...queued) => {
      const queue = new SegmentQueue<ChainWord>({ memoryBytes: 1 << 20, spill: undefined });
      for (const each of queued) {
        if ('kind' in each) queue.say(each);
        else await queue.put({ draft: each, firstAtMs: 0 });
      }
      queue.end();
      const bases: BaseTaken[] = [{ backup, timelineReason: undefined }];
      await shipSegments(
        {
          ...{
            log: repository.segments,
            queue,
            writerId: CAPTURE.id,
            baseDelayMs: () => 0,
            settledSegments: 5,
          },
          takeBase: () => {
            const base = bases.shift();
            if (base !== undefined) return Promise.resolve(base);
            return Promise.reject(new GuardianError('backup.unsound', 'there is no other base'));
          },
          beginTimeline: () => Promise.resolve(),
          onEvent: (event) => events.push(event),
        },
        new AbortController().signal,
      );
    },
  };
}

const kinds = (events: readonly ShipEvent[]): string[] => events.map(({ kind }) => kind);

describe('segments on their way into the store', () => {
  test('of a chain that begins, those that the base holds are dropped, and the first may begin before it', async () => {
    await using folder = await temporaryFolder();
    const { ship, events, repository, tail } = await shipping(folder.path);
    const gap = { after: 3n, reason: 'compacted', history: undefined };
    await ship(
      { kind: 'begin', after: 10n, clusterId: 1n, gap },
      await segmentDraft({ from: 10n, to: 15n }),
      await segmentDraft({ from: 15n, to: 21n }),
      await segmentDraft({ from: 21n, to: 25n }),
      await segmentDraft({ from: 25n, to: 30n }),
    );
    const told = ['storing', 'skipped', 'storing', 'skipped', 'storing', 'stored', 'storing', 'stored'];
    assert.deepEqual(kinds(events), ['taking-base', 'base', 'chain', ...told]);
    const segments = await listed(repository.segments.list(tail));
    assert.deepEqual(
      segments.map((segment) =>
        segment.state === 'sound' ? [segment.head.from, segment.head.to] : segment.problem,
      ),
      [
        [21n, 25n],
        [25n, 30n],
      ],
    );
    assert.deepEqual(segments[0]?.state === 'sound' && segments[0].head.gap, {
      after: 3n,
      reason: 'compacted',
    });
    assert.equal(segments[1]?.state === 'sound' && segments[1].head.gap, undefined);
  });

  test('trouble with the store is waited out, and told', async () => {
    await using folder = await temporaryFolder();
    let failures = 2;
    const { ship, events, tail } = await shipping(folder.path, (operation, _, name) =>
      operation === 'putIfAbsent' && name.endsWith('.segment') && failures-- > 0
        ? { kind: 'refused' }
        : undefined,
    );
    await ship({ kind: 'resume', tail, gap: undefined }, await segmentDraft({ from: 21n, to: 25n }));
    assert.deepEqual(kinds(events), ['chain', 'storing', 'trouble', 'trouble', 'stored']);
  });

  test('a catch-up run’s segment is taken in, and ours goes on behind it, event for event', async () => {
    await using folder = await temporaryFolder();
    const { ship, events, repository, tail } = await shipping(folder.path);
    await repository.segments.append(tail, await segmentDraft({ from: 21n, to: 27n, writer: CATCH_UP }));
    await ship(
      { kind: 'resume', tail, gap: undefined },
      await segmentDraft({ from: 21n, to: 24n }),
      await segmentDraft({ from: 24n, to: 30n }),
    );
    assert.deepEqual(kinds(events), ['chain', 'storing', 'adopted', 'skipped', 'storing', 'stored']);
    const segments = (await listed(repository.segments.list(tail))).filter(
      (segment) => segment.state === 'sound',
    );
    assert.deepEqual(
      segments.map(({ head }) => [head.from, head.to, head.writer.kind, head.times.at(-1)?.[0]]),
      [
        [21n, 27n, 'catch-up', 27n],
        [27n, 30n, 'capture', 30n],
      ],
    );
    assert.deepEqual(await readEntries(repository.segments, segments), entriesOfSegment(21n, 30n));
  });

  test('another capture’s segment ends it, naming the other', async () => {
    await using folder = await temporaryFolder();
    const { ship, repository, tail } = await shipping(folder.path);
    const other = { ...CAPTURE, id: 0xabcn };
    await repository.segments.append(tail, await segmentDraft({ from: 21n, to: 27n, writer: other }));
    const draft = await segmentDraft({ from: 21n, to: 24n });
    await assert.rejects(ship({ kind: 'resume', tail, gap: undefined }, draft), {
      code: 'capture.superseded',
      message: /0000000000000abc/,
    });
  });

  test('a hole before a segment is never stored over', async () => {
    await using folder = await temporaryFolder();
    const { ship, tail } = await shipping(folder.path);
    const draft = await segmentDraft({ from: 22n, to: 24n });
    await assert.rejects(ship({ kind: 'resume', tail, gap: undefined }, draft), {
      code: 'capture.chain-unusable',
    });
  });

  test('what makes every base impossible ends a capture that never had one', async () => {
    await using folder = await temporaryFolder();
    const { ship } = await shipping(folder.path);
    const begin = { kind: 'begin', after: 99n, clusterId: 1n, gap: undefined } as const;
    await assert.rejects(ship(begin), { code: 'backup.unsound' });
  });
});
