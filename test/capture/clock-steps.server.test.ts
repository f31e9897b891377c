import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepMs } from '../../lib/repository/clock-steps.ts';
import { PointUnavailableError } from '../../lib/repository/choose-point.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { assertCaptured } from '../harness/captured-entries.ts';
import { putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { CLUSTER, startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const ETCD = needs('etcd 3.6.16', 'etcdctl 3.6.16');
const HOUR_MS = 3_600_000;

/** A clock that is set by hand. */
class SetClock {
  wrongByMs = 0;
  readonly read = (): Date => new Date(Date.now() + this.wrongByMs);
}

/** Refused, as something from `first` on up to one of `newest`. */
function doubtful(first: bigint, ...newest: bigint[]): RegExp {
  return new RegExp(`^point\\.doubtful-time ${first}-(${newest.join('|')})$`);
}

/** How a search by time ends: a revision, or those between which it would be. */
async function foundAt(repository: Repository, time: Date): Promise<string> {
  try {
    const { revision } = await repository.points.find(CLUSTER, { kind: 'time', time });
    return `${revision}`;
  } catch (error) {
    if (!(error instanceof PointUnavailableError)) throw error;
    if (error.code === 'point.doubtful-time')
      assert.match(error.hint ?? '', /--to-revision.*points list.*history get/);
    return `${error.code} ${error.before?.revision}-${error.after?.revision}`;
  }
}

test(
  'a clock that jumps ahead and is put right is told at once, and no time in between is guessed',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const store = new LocalStore(folder.join('store'));
    const clock = new SetClock();
    await using capture = await startLiveCapture({
      ...{ endpoints: [etcd.endpoint], store, settings: { clock: clock.read } },
    });
    await capture.reached('chain');
    const before = await putOne(etcd, '/a', 'before');
    await capture.stored(before);
    const good = new Date();

    clock.wrongByMs = HOUR_MS;
    await capture.reached('clock-stepped', 1);
    const during = await putOne(etcd, '/a', 'while it is ahead');
    await capture.stored(during);
    const wrong = new Date();

    clock.wrongByMs = 0;
    await capture.reached('clock-stepped', 2);
    const behind = await putOne(etcd, '/a', 'when it was put right');
    await capture.stored(behind);

    const { repository } = capture;
    assert.equal(await foundAt(repository, good), `${before}`);
    // All of it took a second or two: the newest that it may have been is not told more exactly.
    assert.match(await foundAt(repository, wrong), doubtful(before, during, behind));
    const inHalfAnHour = new Date(Date.now() + HOUR_MS / 2);
    assert.equal(await foundAt(repository, inHalfAnHour), `point.doubtful-time ${before}-${behind}`);

    const [points] = await repository.points.list(CLUSTER);
    const [doubt, ...more] = points?.doubtful ?? [];
    assert.deepEqual(more, []);
    assert.deepEqual([doubt?.kind, doubt?.after, doubt?.upTo], ['corrected', before, behind]);
    const status = capture.status();
    assert.equal(status.clockSteps, 2);
    assert.ok(status.lastClockStep !== undefined && Math.abs(stepMs(status.lastClockStep) + HOUR_MS) < 1_000);
    const { segments } = await assertCaptured(repository, etcd);
    assert.equal(segments.at(-1)?.head.clockSteps?.length, 2);
  },
);

test(
  'a capture that starts with a clock behind the last one’s tells it, and what is between stays in doubt',
  ETCD,
  async () => {
    await using folder = await temporaryFolder();
    await using etcd = await startEtcd();
    const store = new LocalStore(folder.join('store'));
    const clock = new SetClock();
    const revisions: bigint[] = [];
    const asked: Date[] = [];
    for (const wrongByMs of [0, HOUR_MS, 0]) {
      // Nobody watches the clock when it is set.
      clock.wrongByMs = wrongByMs;
      await using capture = await startLiveCapture({
        ...{ endpoints: [etcd.endpoint], store, settings: { clock: clock.read } },
      });
      await capture.reached('chain');
      const revision = await putOne(etcd, '/a', `by a clock that is wrong by ${wrongByMs}`);
      await capture.stored(revision);
      revisions.push(revision);
      asked.push(new Date());
      assert.equal(capture.of('clock-stepped').length, revisions.length === 3 ? 1 : 0);
      if (revisions.length < 3) {
        await capture.stop();
        continue;
      }
      const [first = 0n, second = 0n, third = 0n] = revisions;
      const { repository } = capture;
      const known = await repository.points.find(CLUSTER, { kind: 'revision', revision: first });
      assert.equal(await foundAt(repository, known.seenAt), `${first}`);
      assert.match(await foundAt(repository, asked[1] ?? assert.fail()), doubtful(first, second, third));
      assert.match(await foundAt(repository, asked[2] ?? assert.fail()), doubtful(first, third));
      clock.wrongByMs = 2 * HOUR_MS;
      await eventually('it sees it', () => capture.status().clockSteps === 2);
      const last = await putOne(etcd, '/a', 'much later');
      await capture.stored(last);
      assert.equal(
        await foundAt(repository, clock.read()).then((found) => found.split(' ')[0]),
        'point.not-captured',
      );
    }
  },
);
