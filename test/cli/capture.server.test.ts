import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { listAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const revision = z.string().regex(/^\d+$/);
const statusAnswer = z.object({
  capturing: z.boolean(),
  storedRevision: revision,
  currentRevision: revision.nullable(),
  lagRevisions: z.number().nullable(),
  segments: z.int(),
  writer: z.object({ id: z.string(), kind: z.string(), sealIntervalMs: z.int() }).nullable(),
});
const spansAnswer = z.object({
  timelines: z.array(z.object({ spans: z.array(z.looseObject({ kind: z.string(), last: revision })) })),
});

describe('a capture', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const inStore = (name: string): string[] => ['--cluster', 'prod', ...localStoreOptions(folder, name)];
  const live = (): string[] => ['--endpoints', etcd.endpoint];
  const start = (name: string, ...more: string[]): Promise<ServerProcess> =>
    cli.start([...['capture', 'run', '--seal-interval', '100ms'], ...live(), ...inStore(name), ...more]);

  const storedUpTo = async (name: string, revision: bigint): Promise<void> => {
    await eventually(`segments up to revision ${revision}`, async () => {
      const { stdout } = await cli.run(['capture', 'status', ...inStore(name), '--output', 'json']);
      return BigInt(statusAnswer.parse(JSON.parse(stdout)).storedRevision) >= revision;
    });
  };

  test('is seen in its log, its metrics, the store and the list of points, and stops politely', async () => {
    await putOne(etcd, 'before', 'x');
    await using capture = await start('seen', '--listen', '127.0.0.1:0', '--log-format', 'json');
    const url = /"url":"([^"]+)"/.exec(await capture.line(/"event":"listening"/))?.[1] ?? '';
    await capture.line(/"event":"chain"/);
    await putOne(etcd, 'a', 'x');
    const current = (await etcd.status()).revision;
    await storedUpTo('seen', current);

    // A segment can be seen in the store before the capture is told that it is there.
    const stored = new RegExp(`^etcdguardian_capture_stored_revision\\{cluster="prod"\\} ${current}$`, 'm');
    const metrics = await eventually('the capture tells what it stored', async () => {
      const told = await (await fetch(`${url}/metrics`)).text();
      return stored.test(told) && told;
    });
    assert.match(metrics, /^etcdguardian_capture_up\{cluster="prod"\} 1$/m);
    assert.match(metrics, /^etcdguardian_capture_bases_total\{cluster="prod"\} 1$/m);
    assert.match(metrics, /^etcdguardian_capture_gaps_total\{cluster="prod"\} 0$/m);
    assert.equal(await (await fetch(`${url}/healthz`)).text(), 'ok\n');

    const status = await cli.json(statusAnswer, ['capture', 'status', ...live(), ...inStore('seen')]);
    assert.deepEqual(
      [status.capturing, status.lagRevisions, status.writer?.kind, status.writer?.sealIntervalMs],
      [true, 0, 'capture', 100],
    );
    const told = await cli.run(['capture', 'status', ...live(), ...inStore('seen')]);
    assert.match(told.stdout, /^cluster prod: everything is captured\nstored up to: /);
    const { timelines } = await cli.json(spansAnswer, ['points', 'list', ...inStore('seen')]);
    assert.equal(timelines[0]?.spans[0]?.last, current.toString());

    capture.signal('SIGTERM');
    assert.equal(await capture.exited, 0, capture.output());
    const lines = capture.output().trim().split('\n');
    for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
    assert.match(lines.at(-1) ?? '', /"event":"stopped"/);
  });

  test('that ended is told apart from one that has nothing to do', async () => {
    await using capture = await start('ended');
    await capture.line(/extending chain/);
    await putOne(etcd, 'a', 'x');
    await storedUpTo('ended', (await etcd.status()).revision);
    capture.signal('SIGTERM');
    assert.equal(await capture.exited, 0, capture.output());
    const status = ['capture', 'status', ...live(), ...inStore('ended')];
    assert.match((await cli.run(status)).stdout, /^cluster prod: everything is captured\n/);
    await putOne(etcd, 'a', 'y');
    const behind = await cli.run([...status, '--max-lag', '1ms']);
    assert.match(behind.stdout, /^cluster prod: the capture is BEHIND by 1 revision, or doesn't run\n/);
    assert.equal(behind.status, 1);
  });

  test('makes a new base when the chain has become long, and goes on meanwhile', async () => {
    await putOne(etcd, 'before', 'x');
    const often = ['--rebase-segments', '2', '--rebase-pause', '10m', '--spool-dir', folder.path];
    await using capture = await start('long', ...often);
    await capture.line(/extending chain/);
    for (const value of ['a', 'b', 'c']) {
      await putOne(etcd, 'a', value);
      await storedUpTo('long', (await etcd.status()).revision);
    }
    await capture.line(/base \S+ is committed; capture went on meanwhile/);
    await putOne(etcd, 'a', 'd');
    await storedUpTo('long', (await etcd.status()).revision);
    const backups = await cli.json(listAnswer, ['backup', 'list', ...inStore('long')]);
    assert.deepEqual(
      backups.map(({ state }) => state),
      ['sound', 'sound'],
    );
    const { timelines } = await cli.json(spansAnswer, ['points', 'list', ...inStore('long')]);
    assert.equal(timelines[0]?.spans.length, 1, 'one range, without a gap');
    const [merged, base] = backups.flatMap((backup) => (backup.state === 'sound' ? [backup] : []));
    assert.equal(merged?.compactRevision, base?.revision, 'older history is not carried from base to base');
  });

  test('steps down for another one of the same cluster, which goes on', async () => {
    await using first = await start('two');
    await first.line(/extending chain/);
    await using second = await start('two');
    await second.line(/extending chain/);
    const statuses = [first, second].map(({ exited }) => exited);
    await putOne(etcd, 'a', 'x');
    assert.equal(await Promise.race(statuses), 7);
    await putOne(etcd, 'a', 'y');
    await storedUpTo('two', (await etcd.status()).revision);
    const ended = [first, second].filter((one) => one.output().includes('[capture.superseded]'));
    assert.equal(ended.length, 1);
  });

  test('is refused with a reason: nothing captured, a taken address, numbers that are none', async () => {
    await cli.fails(4, 'repository.not-found', ['capture', 'status', ...inStore('nothing')]);
    const run = ['capture', 'run', ...live(), ...inStore('nothing')];
    await cli.fails(2, 'usage.duration', [...run, '--seal-interval', 'often']);
    await cli.fails(2, 'usage.listen', [...run, '--listen', 'here']);
    await cli.fails(2, 'usage.number', [...run, '--rebase-share', '0']);
    await cli.fails(1, 'capture.listen', [...run, '--listen', etcd.address]);
  });
});
