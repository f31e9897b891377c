import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { segmentDraft } from '../../../test/harness/segments.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { type EphemeralFile, openEphemeralFile } from '../../encryption/ephemeral-file.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { SegmentDraft } from '../../repository/chain.ts';
import { SegmentQueue } from './segment-queue.ts';
import { Spill } from './spill.ts';

const signal = new AbortController().signal;

async function drafts(count: number): Promise<SegmentDraft[]> {
  return Promise.all(
    Array.from({ length: count }, (_, at) =>
      segmentDraft({ from: BigInt(10 * at), to: BigInt(10 * at + 10) }),
    ),
  );
}

describe('segments that wait for a store', () => {
  test('come out as they went in, in order, from memory and from disk, and the disk is freed', async () => {
    await using folder = await temporaryFolder();
    let files = 0;
    const open = async (): Promise<EphemeralFile> => {
      const file = await openEphemeralFile(folder.path);
      files++;
      return {
        append: (bytes) => file.append(bytes),
        read: (offset, length) => file.read(offset, length),
        async [Symbol.asyncDispose]() {
          files--;
          await file[Symbol.asyncDispose]();
        },
      };
    };
    await using spill = new Spill({ open, bytes: 1 << 20, fileBytes: 1000 });
    const queue = new SegmentQueue<string>({ memoryBytes: 5000, spill });
    const all = await drafts(30);
    queue.say('first');
    for (const draft of all) assert.equal(await queue.put({ draft, firstAtMs: Number(draft.from) }), true);
    queue.say('last');
    const waiting = queue.waiting();
    assert.equal(waiting.segments, 30);
    assert.ok(waiting.spilledBytes > 0 && files > 2, `${waiting.spilledBytes} bytes in ${files} files`);
    assert.equal(queue.oldestAtMs, 0);

    assert.deepEqual(await queue.take(signal), { kind: 'word', word: 'first' });
    for (const draft of all) {
      const taken = await queue.take(signal);
      assert.ok(taken?.kind === 'segment');
      const plain = { ...taken.draft, frames: taken.draft.frames.map((frame) => Buffer.from(frame)) };
      assert.deepEqual(plain, draft);
    }
    assert.deepEqual(await queue.take(signal), { kind: 'word', word: 'last' });
    assert.deepEqual(queue.waiting(), { segments: 0, bytes: 0, spilledBytes: 0 });
    assert.equal(files, 0);
    queue.end();
    assert.equal(await queue.take(signal), undefined);
  });

  test('are refused where there is no room, and can be given up', async () => {
    await using folder = await temporaryFolder();
    await using spill = new Spill({ open: () => openEphemeralFile(folder.path), bytes: 1000 });
    const queue = new SegmentQueue<string>({ memoryBytes: 3000, spill });
    const all = await drafts(20);
    let held = 0;
    while (await queue.put({ draft: all[held] ?? assert.fail(), firstAtMs: 0 })) held++;
    assert.ok(held > 1 && held < 20);
    assert.equal(await queue.clear(), held);
    assert.deepEqual(queue.waiting(), { segments: 0, bytes: 0, spilledBytes: 0 });
    assert.equal(await queue.put({ draft: all[0] ?? assert.fail(), firstAtMs: 0 }), true);
  });

  test('stay in memory once the disk has failed, which is told once', async () => {
    let told = 0;
    const open = (): Promise<EphemeralFile> =>
      Promise.reject(new GuardianError('spool.full', 'no more room'));
    await using spill = new Spill({ open, bytes: 1 << 20 });
    const queue = new SegmentQueue<string>({ memoryBytes: 1500, spill, onSpillFailed: () => told++ });
    const [first, second, third] = await drafts(3);
    assert.ok(first && second && third);
    assert.equal(await queue.put({ draft: first, firstAtMs: 0 }), true);
    assert.equal(await queue.put({ draft: second, firstAtMs: 0 }), false);
    assert.equal(await queue.put({ draft: third, firstAtMs: 0 }), false);
    assert.equal(told, 1);
  });

  test('are waited for until a signal says otherwise', async () => {
    const queue = new SegmentQueue<string>({ memoryBytes: 1, spill: undefined });
    const ending = new AbortController();
    const waiting = queue.take(ending.signal);
    ending.abort(new Error('enough'));
    queue.wake();
    await assert.rejects(waiting, /enough/);
    const taken = queue.take(signal);
    queue.say('at last');
    assert.deepEqual(await taken, { kind: 'word', word: 'at last' });
  });
});
