import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { fillWithHistory, liveHash, putOne } from '../harness/etcd-content.ts';
import { etcdutl } from '../harness/etcd-programs.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { verdictAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { DEFAULT_ETCD, ETCD_VERSIONS, needs } from '../harness/tools.ts';

for (const version of sample(ETCD_VERSIONS, 1, 'snapshot files')) {
  describe(`a snapshot file of etcd ${version}`, needs(`etcd ${version}`, 'etcdutl 3.6.16'), () => {
    let folder: TemporaryFolder;
    let etcd: Etcd;
    let cli: GuardianCli;
    let file: string;

    before(async () => {
      folder = await temporaryFolder();
      etcd = await startEtcd({ version });
      cli = guardianCli(folder);
      file = folder.join('snapshot.db');
      await fillWithHistory(etcd, testRandom('snapshot files'));
      await etcd.etcdctl('snapshot', 'save', file);
    });

    after(async () => {
      await etcd[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    test('is verified to the figures of etcdutl 3.6 and of the live member', async () => {
      const verdict = await cli.json(verdictAnswer, ['snapshot', 'verify', file]);
      const status = await etcdutl(DEFAULT_ETCD, 'snapshot', 'status', file, '--write-out=json');
      const theirs = z
        .object({ hash: z.int(), revision: z.int(), totalKey: z.int(), totalSize: z.int() })
        .parse(JSON.parse(status));
      assert.deepEqual(
        { hash: verdict.hash, revision: Number(verdict.revision), totalSize: verdict.totalSize },
        { hash: theirs.hash, revision: theirs.revision, totalSize: theirs.totalSize },
      );
      assert.equal(verdict.totalKeys, theirs.totalKey);
      const live = await liveHash(etcd);
      assert.equal(verdict.hashKV, live.hash);
      assert.equal(verdict.compactRevision, live.compactRevision.toString());
      assert.deepEqual([verdict.sound, verdict.problems], [true, []]);
    });

    test('is not written to by any command', async () => {
      const before = await readFile(file);
      for (const command of ['verify', 'inspect', 'diff']) {
        assert.equal((await cli.run(['snapshot', command, file])).status, 0, command);
      }
      assert.deepEqual(await readFile(file), before);
    });

    test('is unsound, with exit status 3 and a code and place for each problem, when a byte of it differs', async () => {
      const bytes = await readFile(file);
      const at = testRandom('the byte that differs').integer(0, bytes.length);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
      const changed = folder.join('changed.db');
      await writeFile(changed, bytes);
      const { status, stdout } = await cli.run(['snapshot', 'verify', changed, '--output', 'json']);
      const verdict = verdictAnswer.parse(JSON.parse(stdout));
      assert.deepEqual([status, verdict.sound], [3, false], `byte ${at}`);
      assert.ok(verdict.problems.length > 0);
      const told = await cli.run(['snapshot', 'verify', changed]);
      assert.match(told.stdout, /is NOT sound: \d+ problem/);
      await cli.fails(3, 'restore.unsound', [
        'restore',
        '--snapshot',
        changed,
        '--data-dir',
        folder.join('no'),
      ]);
    });

    test('is unsound when it was cut off, and only then without its trailer', async () => {
      const [cut, bare] = [folder.join('cut.db'), folder.join('bare.db')];
      const bytes = await readFile(file);
      for (const copy of [cut, bare]) await writeFile(copy, bytes);
      await truncate(cut, 4096 * 2 + 100);
      await truncate(bare, bytes.length - 32);
      assert.equal((await cli.run(['snapshot', 'verify', cut])).status, 3);
      assert.equal((await cli.run(['snapshot', 'verify', bare])).status, 3);
      assert.equal((await cli.run(['snapshot', 'verify', bare, '--allow-missing-trailer'])).status, 0);
    });

    test('is compared with a later one', async () => {
      await putOne(etcd, '/registry/configmaps/default/added', 'value');
      const later = folder.join('later.db');
      await etcd.etcdctl('snapshot', 'save', later);
      const difference = z.object({ added: z.int(), removed: z.int(), changed: z.int() });
      assert.deepEqual(await cli.json(difference, ['snapshot', 'diff', file, later]), {
        ...{ added: 1, removed: 0, changed: 0 },
      });
    });

    test('is inspected by resource and namespace', async () => {
      const inspected = z.object({ resources: z.array(z.object({ name: z.string(), liveKeys: z.int() })) });
      const { resources } = await cli.json(inspected, ['snapshot', 'inspect', file]);
      const names = resources.map(({ name }) => name);
      assert.ok(names.includes('pods') && names.includes('events'), names.join());
      const told = await cli.run(['snapshot', 'inspect', file, '--top', '1']);
      assert.match(told.stdout, /Biggest resources\nRESOURCE .*\n\S+ .*\n\nBiggest namespaces\n/);
    });
  });
}
