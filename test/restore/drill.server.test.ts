import assert from 'node:assert/strict';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { fillWithHistory, liveHash, putOne } from '../harness/etcd-content.ts';
import { startEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import { backupAnswer, drillAnswer } from '../harness/guardian-answers.ts';
import { type GuardianCli, guardianCli } from '../harness/guardian-cli.ts';
import { localStoreOptions } from '../harness/guardian-store.ts';
import { backUpHistory, captureHistory } from '../harness/made-chain.ts';
import { MadeHistory } from '../harness/made-history.ts';
import { repositorySettings } from '../harness/repository.ts';
import { sample, testRandom } from '../harness/sampling.ts';
import { needsSmallDisk, smallDisk } from '../harness/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs, requireTool } from '../harness/tools.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import { parseDrillSummary } from '../../lib/restore/drill/drill-summary.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';

for (const version of sample(ETCD_VERSIONS, 2, 'drilled versions')) {
  test(
    `a backup of etcd ${version} is served in a drill, with the HashKV that the live member answered`,
    needs(`etcd ${version}`, `etcdctl ${version}`),
    async () => {
      await using world = await worldOf(version);
      const { hash, revision } = world.live;
      const [report, summary] = [world.folder.join('report.json'), world.folder.join('summary.json')];
      const answer = await world.cli.json(drillAnswer, world.drill('--report', report, '--summary', summary));
      assert.equal(answer.result, 'passed');
      assert.deepEqual([answer.hashKV, answer.revision], [hash, revision.toString()]);
      assert.deepEqual(
        answer.checks.map(({ name, passed }) => [name, passed]),
        [
          ['etcd serves', true],
          ['HashKV(0) is the one that was foretold', true],
          ['every key is there', true],
          ['etcd answers what the live cluster answered', true],
        ],
      );
      assert.equal(answer.etcd?.version, version);
      assert.ok((answer.recoverySeconds ?? 0) > 0);
      assert.deepEqual(Object.keys(answer.phases), ['find', 'fetch', 'verify', 'start', 'checks']);
      assert.deepEqual(JSON.parse(await readFile(report, 'utf8')), answer);
      assert.deepEqual(parseDrillSummary(await readFile(summary, 'utf8')), {
        ...{ result: 'passed', revision: revision.toString(), etcdVersion: version, keys: answer.keys },
        ...{ recoverySeconds: answer.recoverySeconds, failedChecks: [], failed: 0 },
        warnings: answer.warnings.length,
      });
      assert.deepEqual(await readdir(world.folder.join('work')), []);
    },
  );
}

const V = '3.6.16';

describe('a drill', needs(`etcd ${V}`, `etcdctl ${V}`), () => {
  let world: World;

  before(async () => {
    world = await worldOf(V);
  });

  after(async () => {
    await world[Symbol.asyncDispose]();
  });

  test('answers queries: what is there, what is not, and what only an API server can read', async () => {
    const file = world.folder.join('queries.yaml');
    await writeFile(
      file,
      `queries:
  - {key: /registry/configmaps/shop/web}
  - {prefix: /registry/configmaps/, atLeast: 1}
  - {resource: configmaps, namespace: shop}
  - {resource: configmaps, namespace: shop, object: web, field: data.mode, equals: open}
  - {title: at night, resource: configmaps, namespace: shop, object: web, field: data.mode, equals: closed}
  - {resource: nodes, atLeast: 3}
  - {key: /registry/secrets/shop/nothing}
  - {key: /registry/pods/shop/binary, field: spec.nodeName}
`,
    );
    const { status, stdout } = await world.cli.run([...world.drill('--queries', file), '--output', 'json']);
    assert.equal(status, 3, stdout);
    const { result, checks } = drillAnswer.parse(JSON.parse(stdout));
    const asked = checks.filter(({ name }) => name.startsWith('query: '));
    assert.equal(result, 'failed');
    assert.deepEqual(
      asked.map(({ passed }) => passed),
      [true, true, true, true, false, false, false, false],
    );
    assert.deepEqual(
      asked.slice(4).map(({ name, detail }) => [name, detail]),
      [
        ['query: at night', 'data.mode is "open"'],
        ['query: at least 3 nodes', '0 found'],
        ['query: key /registry/secrets/shop/nothing is there', '/registry/secrets/shop/nothing is not there'],
        [
          'query: key /registry/pods/shop/binary has spec.nodeName',
          'it is stored as protobuf: only an API server can read its fields (--kube-apiserver)',
        ],
      ],
    );
  });

  test('of a damaged base fails with what is wrong with it, and leaves nothing', async () => {
    await using damaged = await worldOf(V);
    const base = await damaged.baseFile();
    const bytes = await readFile(base);
    bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 64);
    await writeFile(base, bytes);
    const { status, stdout } = await damaged.cli.run(damaged.drill());
    assert.equal(status, 3, stdout);
    assert.match(
      stdout,
      /^the drill FAILED: backup .*\n {2}ended while fetching the data: .*\n {2}what to do: /,
    );
    assert.deepEqual(await readdir(damaged.folder.join('work')), []);
  });

  test(
    'with an etcd that cannot read the data tells so before anything is fetched',
    needs('etcd 3.4.23'),
    async () => {
      const { status, stdout } = await world.cli.run(world.drill('--etcd', requireTool('etcd', '3.4.23')));
      assert.equal(status, 1, stdout);
      assert.match(
        stdout,
        /ended while preparing: .*skips minor versions.*\[restore\.version\]\n {2}what to do: .*--etcd/,
      );
      assert.doesNotMatch(stdout, /fetch \d/);
    },
  );

  test('whose etcd does not come up tells its last words', async () => {
    const program = world.folder.join('broken-etcd');
    const fatal = '{"level":"fatal","msg":"discovery failed","error":"the disk is upside down"}';
    const script = `#!/bin/sh\n[ "$1" = --version ] && echo "etcd Version: ${V}" && exit\necho '${fatal}' >&2\nexit 1\n`;
    await writeFile(program, script, { mode: 0o755 });
    const { status, stdout } = await world.cli.run(world.drill('--etcd', program));
    assert.equal(status, 3, stdout);
    assert.match(
      stdout,
      /etcd ended \(exit code 1\).*: discovery failed: the disk is upside down \[drill\.etcd-ended\]/,
    );
    assert.deepEqual(await readdir(world.folder.join('work')), []);
  });

  test('without a program, or with another one, says which option names it', async () => {
    for (const [program, told] of [
      [
        '/nowhere/etcd',
        /there is no program "\/nowhere\/etcd" \[drill\.no-program\]\n {2}what to do: .*--etcd/,
      ],
      ['/bin/true', /\/bin\/true is no etcd that runs here: .*\[drill\.no-program\]/],
    ] as const) {
      const { status, stdout } = await world.cli.run(world.drill('--etcd', program));
      assert.equal(status, 4, stdout);
      assert.match(stdout, told);
    }
  });

  test('that was not held at all leaves a summary, too', async () => {
    const file = world.folder.join('summary.json');
    for (const [options, result, code] of [
      [['--etcd', '/nowhere/etcd'], 'unknown', 'drill.no-program'],
      [['--backup', '20000101T000000Z-00000000'], 'failed', 'repository.not-found'],
    ] as const) {
      await world.cli.run(world.drill('--summary', file, ...options));
      const { problem, ...summary } = parseDrillSummary(await readFile(file, 'utf8'));
      assert.deepEqual([summary.result, problem?.code], [result, code]);
    }
  });

  test('on a disk without room is refused before anything is written', needsSmallDisk(), async () => {
    await using disk = await smallDisk(64 << 20);
    await using drill = await world.cli.start(world.drill('--work-dir', disk.path), disk);
    assert.equal(await drill.exited, 1, drill.output());
    assert.match(drill.output(), /needs \d+ bytes.*\[restore\.no-space\]\n {2}what to do: .*--work-dir/);
  });

  test('that is killed takes its etcd with it', async () => {
    const work = world.folder.join('killed');
    // Without its socket the drill waits for this etcd until it is killed.
    const program = world.folder.join('silent-etcd');
    const script = `#!/bin/sh\n[ "$1" = --version ] && echo "etcd Version: ${V}" && exit\nexec sleep 600\n`;
    await writeFile(program, script, { mode: 0o755 });
    await using drill = await world.cli.start(world.drill('--work-dir', work, '--etcd', program));
    const etcd = await eventually('the drill runs its etcd', () => processBelow(work));
    await drill.kill();
    await eventually('its etcd has ended', async () => (await cwdOf(etcd)) === '');
    await eventually('its folder is gone', async () => (await readdir(work)).length === 0);
    const { status, stdout } = await world.cli.run(world.drill('--work-dir', work));
    assert.equal(status, 0, stdout);
    assert.deepEqual(await readdir(work), []);
  });

  test('that is interrupted ends with 130 and leaves nothing', async () => {
    const interrupt = new AbortController();
    const stopping = eventually('the drill runs its etcd', () =>
      processBelow(world.folder.join('work')),
    ).then(() => {
      interrupt.abort('SIGINT');
    });
    const silent = world.folder.join('waiting-etcd');
    const script = `#!/bin/sh\n[ "$1" = --version ] && echo "etcd Version: ${V}" && exit\nexec sleep 600\n`;
    await writeFile(silent, script, { mode: 0o755 });
    const { status, stderr } = await world.cli.run(world.drill('--etcd', silent), {
      signal: interrupt.signal,
    });
    await stopping;
    assert.equal(status, 130, stderr);
    assert.deepEqual(await readdir(world.folder.join('work')), []);
  });
});

test('a point behind a backup is merged and served in a drill', needs(`etcd ${V}`), async () => {
  await using folder = await temporaryFolder();
  const history = new MadeHistory();
  for (let number = 0; number < 40; number++)
    history.put(`/registry/pods/shop/${number}`, Buffer.from('value'));
  const repository = await openRepository(repositorySettings(new LocalStore(folder.join('store'))));
  const base = await backUpHistory(repository, history, { until: 21n });
  await captureHistory(repository.segments, repository.segments.tailOf(base), history, [31n, 41n]);
  const drill = [
    'drill',
    'run',
    ...localStoreOptions(folder),
    '--to-revision',
    '36',
    '--work-dir',
    folder.join('work'),
  ];
  const answer = await guardianCli(folder).json(drillAnswer, [...drill, '--etcd', requireTool('etcd', V)]);
  assert.deepEqual([answer.result, answer.revision, answer.keys], ['passed', '36', 35]);
  assert.deepEqual(answer.resources, [{ resource: 'pods', objects: 35 }]);
  assert.deepEqual(Object.keys(answer.phases), ['find', 'fetch', 'merge', 'verify', 'start', 'checks']);
  assert.match(answer.warnings.join(), /not proven/);
});

interface World extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly cli: GuardianCli;
  /** What the member answered before it was ended. */
  readonly live: Awaited<ReturnType<typeof liveHash>>;
  /** A drill of the newest point, with the etcd of its version unless another is given. */
  drill(...options: readonly string[]): string[];
  baseFile(): Promise<string>;
}

/** A machine with a backup of an etcd that is no more. */
async function worldOf(version: EtcdVersion): Promise<World> {
  const folder = await temporaryFolder();
  const cli = guardianCli(folder);
  await using etcd = await startEtcd({ version });
  await fillWithHistory(etcd, testRandom(`drill of ${version}`));
  const web = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', data: { mode: 'open' } });
  await putOne(etcd, '/registry/configmaps/shop/web', web);
  await putOne(etcd, '/registry/pods/shop/binary', 'k8s\0not read here');
  const store = ['--cluster', 'prod', ...localStoreOptions(folder)];
  await cli.json(backupAnswer, ['backup', 'create', '--endpoints', etcd.endpoint, ...store]);
  const live = await liveHash(etcd);
  return {
    ...{ folder, cli, live },
    drill: (...options) => {
      const has = (option: string): boolean => options.includes(option);
      return [
        ...['drill', 'run', ...store, ...options],
        ...(has('--etcd') ? [] : ['--etcd', requireTool('etcd', version)]),
        ...(has('--work-dir') ? [] : ['--work-dir', folder.join('work')]),
      ];
    },
    baseFile: async () => {
      const names = await readdir(folder.join('store'), { recursive: true });
      const base = names.find((name) => name.includes('base') && !name.includes('json'));
      assert.ok(base, names.join('\n'));
      return folder.join('store', base);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A process whose folder is a drill's below `work`. */
async function processBelow(work: string): Promise<number | undefined> {
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && (await cwdOf(pid)).startsWith(`${work}/etcdguardian-drill-`)) return pid;
  }
  return undefined;
}

async function cwdOf(pid: number): Promise<string> {
  return readlink(`/proc/${pid}/cwd`).catch(() => '');
}
