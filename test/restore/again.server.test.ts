import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { allKeys, liveHash, putOne } from '../harness/etcd-content.ts';
import { electionArgs, type Etcd, startEtcd, startMember } from '../harness/etcd.ts';
import { onFreePorts } from '../harness/free-port.ts';
import { backupAnswer, restoredAnswer, type RestoredAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { startProcess } from '../harness/server-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { DEFAULT_ETCD, needs, requireTool } from '../harness/tools.ts';

const NAMES = ['m1', 'm2', 'm3'];
const QUICK = electionArgs(NAMES.length);

test(
  'the same backup restored twice to the same addresses: two clusters, whose members and revisions never mix',
  needs('etcd 3.6.16', 'etcdctl 3.6.16'),
  async () => {
    await using folder = await temporaryFolder();
    const cli = guardianCli(folder);
    const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
    const revision = await backUpOne(cli, store);

    await onFreePorts(2 * NAMES.length, async (ports) => {
      const attempt = folder.join(`ports-${ports.join('-')}`);
      const initialCluster = NAMES.map((name, at) => `${name}=http://127.0.0.1:${ports[at]}`).join(',');
      const restore = ['restore', ...store, '--initial-cluster', initialCluster];
      const start = (name: string, dataDir: string): Promise<Etcd> => {
        const at = NAMES.indexOf(name);
        const [clientPort = 0, peerPort = 0] = [ports[NAMES.length + at], ports[at]];
        return startMember({ name, dataDir, initialCluster, args: QUICK }, clientPort, peerPort);
      };

      // The first restore runs for a while, and nobody backs it up.
      const first = await nodeByNode(cli, restore, join(attempt, 'first'));
      let servedByFirst = 0n;
      await using firstRun = await startAll(NAMES, (name) => start(name, join(attempt, 'first', name)));
      for (const member of firstRun.members) servedByFirst = await putOne(member, member.name, 'written');
      await firstRun[Symbol.asyncDispose]();

      // The second one, to the same addresses.
      const second = await nodeByNode(cli, restore, join(attempt, 'second'));
      assert.notEqual(second.clusterId, first.clusterId);
      assert.notEqual(second.token, first.token);
      assert.ok(BigInt(first.revision) > revision);
      assert.ok(BigInt(second.revision) > servedByFirst, 'no revision is served twice');

      // Two members of the second run; the third node still has what the first restore left there.
      const nodes = NAMES.slice(0, 2);
      await using secondRun = await startAll(nodes, (name) => start(name, join(attempt, 'second', name)));
      const [member] = secondRun.members;
      assert.ok(member !== undefined);
      assert.equal((await member.status()).clusterId.toString(16), second.clusterId);
      await using old = await startProcess(requireTool('etcd', DEFAULT_ETCD), [
        ...['--name=m3', `--data-dir=${join(attempt, 'first', 'm3')}`, ...QUICK],
        ...[
          `--listen-peer-urls=http://127.0.0.1:${ports[2]}`,
          `--listen-client-urls=http://127.0.0.1:${ports[5]}`,
        ],
        `--advertise-client-urls=http://127.0.0.1:${ports[5]}`,
      ]);
      await old.line(/cluster ID mismatch/);
      assert.doesNotMatch(old.output(), /serving client traffic/);
      assert.equal((await liveHash(member)).hash, second.hashKV, 'nothing of the first got in');
      assert.equal(((await allKeys(member)) as unknown[]).length, 1);

      // Its first backup knows what it comes from.
      const create = ['backup', 'create', '--endpoints', member.endpoint, ...store];
      assert.match((await cli.run(create)).stdout, /a new timeline begins: restored/);
    });
  },
);

async function backUpOne(cli: GuardianCli, store: readonly string[]): Promise<bigint> {
  await using etcd = await startEtcd();
  await putOne(etcd, 'a', 'b');
  const create = ['backup', 'create', '--endpoints', etcd.endpoint, ...store];
  return BigInt((await cli.json(backupAnswer, create)).revision);
}

/** Restores each member as its own node would; all must come to one cluster. */
async function nodeByNode(
  cli: GuardianCli,
  restore: readonly string[],
  folder: string,
): Promise<RestoredAnswer> {
  await mkdir(folder, { recursive: true });
  const answers: RestoredAnswer[] = [];
  for (const name of NAMES) {
    const own = ['--name', name, '--data-dir', join(folder, name)];
    answers.push(await cli.json(restoredAnswer, [...restore, ...own]));
  }
  const [answer] = answers;
  assert.ok(answer !== undefined);
  const common = ({ clusterId, token, revision, hashKV }: RestoredAnswer): unknown[] => [
    clusterId,
    token,
    revision,
    hashKV,
  ];
  for (const other of answers) assert.deepEqual(common(other), common(answer));
  return answer;
}

async function startAll(
  names: readonly string[],
  start: (name: string) => Promise<Etcd>,
): Promise<AsyncDisposable & { readonly members: readonly Etcd[] }> {
  const starts = await Promise.allSettled(names.map(start));
  const members = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
  };
  for (const one of starts) {
    if (one.status === 'fulfilled') continue;
    await stop();
    throw one.reason;
  }
  return { members, [Symbol.asyncDispose]: stop };
}
