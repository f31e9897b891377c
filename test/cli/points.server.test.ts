import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import { verifySnapshotFile } from '../../lib/etcd/mvcc/verify-snapshot-file.ts';
import { putOne } from '../harness/etcd-content.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { restoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

const revision = z.string().regex(/^\d+$/);
const incrementalAnswer = z.looseObject({
  how: z.string(),
  revision,
  segments: z.int(),
  base: z.string().nullable(),
  reason: z.string().nullable(),
});
const verifiedAnswer = z.object({
  sound: z.boolean(),
  chains: z.array(z.looseObject({ segments: z.int(), merged: z.array(z.looseObject({ to: revision })) })),
});
const exportedAnswer = z.looseObject({ revision, hashKV: z.looseObject({ hash: z.int() }) });
const diffAnswer = z.looseObject({ added: z.int(), removed: z.int(), changed: z.int() });

/** A moment of the cluster: its revision, and the hash that it answered then. */
interface Moment {
  readonly revision: bigint;
  readonly hash: number;
}

describe('restore points of a live cluster', needs('etcd 3.6.16', 'etcdctl 3.6.16'), () => {
  let folder: TemporaryFolder;
  let etcd: Etcd;
  let cli: GuardianCli;
  let store: string[];
  let good: Moment;
  let bad: Moment;

  const moment = async (): Promise<Moment> => {
    await using client = connectEtcd({ endpoints: [etcd.endpoint] });
    const { hash, header } = await client.hashKV(etcd.endpoint, 0n);
    return { revision: header.revision, hash };
  };
  const incremental = (): Promise<z.output<typeof incrementalAnswer>> =>
    cli.json(incrementalAnswer, [
      ...['backup', 'create', '--mode', 'incremental', '--endpoints', etcd.endpoint, ...store],
    ]);

  before(async () => {
    folder = await temporaryFolder();
    etcd = await startEtcd();
    cli = guardianCli(folder);
    const keyFile = folder.join('guardian.key');
    const keys = ['keys', 'create', '--out', keyFile, '--recovery-out', folder.join('recovery.pem')];
    assert.equal((await cli.run(keys)).status, 0);
    store = ['--cluster', 'prod', '--key-file', keyFile, ...localStoreOptions(folder)];

    await putOne(etcd, '/registry/configmaps/shop/a', 'one');
    const first = await incremental();
    assert.deepEqual([first.how, first.reason], ['base', 'there was no backup of this cluster yet']);
    await putOne(etcd, '/registry/configmaps/shop/b', 'two');
    good = await moment();
    await etcd.etcdctl('del', '--prefix', '/registry/configmaps/shop/');
    await putOne(etcd, '/registry/configmaps/other/c', 'three');
    bad = await moment();
    const second = await incremental();
    assert.deepEqual(
      [second.how, second.segments, second.revision],
      ['segments', 1, bad.revision.toString()],
    );
    assert.equal((await incremental()).how, 'nothing-new');
  });

  after(async () => {
    await etcd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test('any revision is restored, with the HashKV that the cluster had then; without one, the newest', async () => {
    const restore = ['restore', ...store, '--no-record'];
    const before = await cli.json(restoredAnswer, [
      ...[...restore, '--to-revision', good.revision.toString(), '--data-dir', folder.join('before')],
    ]);
    assert.deepEqual(
      [before.snapshot.currentRevision, before.snapshot.hashKV],
      [good.revision.toString(), good.hash],
    );
    await using restored = await startEtcd({ dataDir: folder.join('before') });
    assert.match(await restored.etcdctl('get', '--prefix', '/registry/'), /shop\/a\none\n.*shop\/b\ntwo/);

    const newest = await cli.json(restoredAnswer, [...restore, '--data-dir', folder.join('newest')]);
    assert.deepEqual(
      [newest.snapshot.currentRevision, newest.snapshot.hashKV],
      [bad.revision.toString(), bad.hash],
    );
  });

  test('members of one restore are made at the same revision, and one of another is told', async () => {
    const peers = ['--initial-cluster', 'm1=http://127.0.0.1:1,m2=http://127.0.0.1:2'];
    const at = (name: string, ...more: string[]): string[] => [
      ...['restore', ...store, ...peers, '--name', name, '--data-dir', folder.join(`of-${name}`), ...more],
    ];
    const first = await cli.run(at('m1', '--to-revision', good.revision.toString()));
    assert.match(
      first.stdout,
      new RegExp(`with the same --initial-cluster and --to-revision ${good.revision}, .* m2\n`),
    );
    const other = await cli.run(at('m2'));
    assert.match(other.stderr, /restore 2 begins, apart from restore 1 of .*: it restores revision/);
  });

  test('what can’t be restored is refused with what can', async () => {
    const restore = ['restore', ...store, '--data-dir', folder.join('none')];
    const future = await cli.fails(4, 'point.not-captured', [...restore, '--to-revision', '999999']);
    assert.match(future, new RegExp(`what to do: .*revision ${bad.revision} `));
    await cli.fails(4, 'point.before-first', [...restore, '--to-time', '2001-01-01T00:00:00Z']);
    await cli.fails(2, 'usage.time', [...restore, '--to-time', 'yesterday']);
    const both = await cli.run([...restore, '--to-revision', '5', '--backup', 'latest']);
    assert.deepEqual([both.status, both.stderr.includes('cannot be used with')], [2, true], both.stderr);
  });

  test('a point becomes a snapshot file that every etcd takes', async () => {
    const out = folder.join('point.db');
    const args = ['points', 'export', good.revision.toString(), '--out', out, ...store];
    const exported = await cli.json(exportedAnswer, args);
    assert.deepEqual([exported.revision, exported.hashKV.hash], [good.revision.toString(), good.hash]);
    const verdict = await verifySnapshotFile(out, { trailer: 'required' });
    assert.deepEqual([verdict.sound, verdict.hashKV], [true, good.hash]);
    await cli.fails(1, 'points.exists', args);
    await cli.fails(2, 'usage.point', ['points', 'export', 'yesterday', '--out', folder.join('x'), ...store]);
  });

  test('two points are compared', async () => {
    const diff = await cli.json(diffAnswer, [
      ...['snapshot', 'diff', ...store, '--work-dir', folder.path],
      ...['--from-point', good.revision.toString(), '--to-point', 'latest'],
    ]);
    assert.deepEqual([diff.added, diff.removed, diff.changed], [1, 2, 0]);
    await cli.fails(2, 'usage.point', ['snapshot', 'diff', ...store, '--from-point', 'latest']);
    await cli.fails(2, 'usage.point', ['snapshot', 'diff', ...store]);
  });

  test('chains are verified, deep ones by merging them', async () => {
    const verify = ['points', 'verify', ...store, '--work-dir', folder.path];
    const stored = await cli.json(verifiedAnswer, verify);
    assert.deepEqual([stored.sound, stored.chains.map(({ segments }) => segments)], [true, [1]]);
    const deep = await cli.json(verifiedAnswer, [...verify, '--deep']);
    assert.deepEqual(
      [deep.sound, deep.chains[0]?.merged.map(({ to }) => to)],
      [true, [bad.revision.toString()]],
    );
    assert.match(
      (await cli.run([...verify, '--deep'])).stdout,
      /^chain \S+ of timeline 000001 is sound: 1 segment, /,
    );
  });

  test('deleting a backup that points need says what is lost', async () => {
    const { stdout } = await cli.run(['backup', 'list', ...store, '--output', 'json']);
    const [backup] = z.array(z.object({ id: z.string() })).parse(JSON.parse(stdout));
    const remove = await cli.run(['backup', 'delete', backup?.id ?? '', '--even-the-last', ...store]);
    assert.match(
      remove.stderr,
      new RegExp(`^warning: revisions \\d \\S+ to ${bad.revision} .* can no longer be restored`),
    );
    assert.equal(remove.status, 0);
    assert.equal((await cli.run(['backup', 'undelete', backup?.id ?? '', ...store])).status, 0);
  });

  test('pruning explains itself, takes bases with their segments, and is undone', async () => {
    await putOne(etcd, '/registry/configmaps/other/d', 'four');
    assert.equal((await incremental()).segments, 1);
    await putOne(etcd, '/registry/configmaps/other/d', 'five');
    const full = await cli.run(['backup', 'create', '--endpoints', etcd.endpoint, ...store]);
    assert.equal(full.status, 0, full.stderr);
    const prune = ['backup', 'prune', '--keep-last', '1', ...store];
    const announced = await cli.run([...prune, '--dry-run']);
    assert.match(announced.stdout, /^would go +1 +from \d+ to below \d+ +\S+ \S+ +no kept restore point/m);
    assert.match(announced.stdout, /\nwould remove 1 backup and 1 segment \(.*\n$/);
    assert.match((await cli.run(prune)).stdout, /\nremoved 1 backup and 1 segment /);
    const gone = ['restore', ...store, '--data-dir', folder.join('gone'), '--to-revision'];
    await cli.fails(4, 'point.before-first', [...gone, good.revision.toString()]);

    const back = await cli.run(['points', 'undelete', ...store]);
    assert.match(back.stdout, /^back: segments of chain \S+ from revision \d+ to below \d+\n$/);
    const { stdout } = await cli.run(['backup', 'list', '--all', ...store, '--output', 'json']);
    const listed = z.array(z.object({ id: z.string(), removed: z.boolean() })).parse(JSON.parse(stdout));
    for (const { id } of listed.filter(({ removed }) => removed)) {
      assert.equal((await cli.run(['backup', 'undelete', id, ...store])).status, 0);
    }
    assert.equal((await cli.run([...gone, good.revision.toString(), '--no-record'])).status, 0);
    assert.match((await cli.run(['points', 'undelete', ...store])).stdout, /^nothing that was captured/);
  });
});
