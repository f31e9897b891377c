import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../test/harness/eventually.ts';
import { guardianCli } from '../test/harness/guardian-cli.ts';
import { startHttpProxy } from '../test/harness/http-proxy.ts';
import { type ServerProcess, startProcess } from '../test/harness/server-process.ts';
import { needsSmallDisk, smallDisk } from '../test/harness/small-disk.ts';
import { needs } from '../test/harness/tools.ts';
import { type AgentScene, allOf, startAgentScene } from './agent-scene.fixture.ts';

const SERVING = /"event":"serving"/;

/** What the chart's limits are made for: an agent that waits for work. */
const MOST_IDLE_BYTES = 128 * 1024 * 1024;

describe('an agent in a process of its own', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: AgentScene;
  before(async () => {
    scene = await startAgentScene();
  });
  const processes = new AsyncDisposableStack();
  after(async () => {
    await processes.disposeAsync();
    await scene[Symbol.asyncDispose]();
  });

  const start = async (
    state: string,
    within: readonly string[] = [],
    changes: Record<string, string> = {},
  ): Promise<{ process: ServerProcess; port: number }> => {
    const env = { ...scene.env(state), ...changes };
    const process = processes.use(await guardianCli(scene.folder).start(['agent'], { env, within }));
    const line = await process.line(SERVING);
    const { port } = JSON.parse(line) as { port: number };
    return { process, port };
  };

  test('that is killed in the middle of a backup leaves exactly one, when it is asked again', async () => {
    const reached = Promise.withResolvers<undefined>();
    await using proxy = await startHttpProxy(scene.s3.endpoint, async ({ method, url }) => {
      if (method === 'GET' || !url.includes('/base')) return { kind: 'pass' };
      reached.resolve(undefined);
      return new Promise(() => undefined);
    });
    const first = await start('killed');
    const client = scene.client(first.port);
    const { term } = await client.takeTerm({ holder: 'test' });
    const request = scene.request('killed', term);
    const lost = assert.rejects(
      allOf(client.takeBackup({ ...request, store: { ...request.store, endpoint: proxy.endpoint } })),
      { code: 'agent.connection-lost', retryable: true },
    );
    await reached.promise;
    await first.process.kill();
    await lost;

    const second = await start('killed');
    const again = scene.client(second.port);
    const result = (await allOf(again.takeBackup(request))).at(-1)?.backup;
    assert.equal(result?.found, false);
    // And killed right after: the store knows it.
    await second.process.kill();
    const third = await start('killed-elsewhere');
    const found = (await allOf(scene.client(third.port).takeBackup(request))).at(-1)?.backup;
    assert.deepEqual([found?.found, found?.point], [true, result.point]);
    await third.process.stop();
  });

  test('needs little memory while it waits, and goes down politely', async (t) => {
    // As the image starts it, with its limits on memory; the first start leaves compiled code behind.
    const program = join(import.meta.dirname, '..', 'bin', 'etcdguardian');
    const caches = scene.folder.join('caches');
    const env = {
      ...{ ...globalThis.process.env, ...scene.env('idle'), XDG_CACHE_HOME: caches },
      // Counting which lines ran takes memory, and keeps no compiled code.
      NODE_V8_COVERAGE: undefined,
    };
    await mkdir(caches);
    await using first = await startProcess(program, ['agent'], { env });
    await first.line(SERVING);
    await first.stop();
    await using process = await startProcess(program, ['agent'], { env });
    const { port } = JSON.parse(await process.line(SERVING)) as { port: number };
    const client = scene.client(port);
    for (let asked = 0; asked < 20; asked++) await client.describe({});
    // Garbage of its start goes by itself, once nothing happens.
    const idle = await eventually('little memory', async () => {
      const rss = await rssOf(process.pid);
      return rss < MOST_IDLE_BYTES && rss;
    });
    t.diagnostic(`${Math.round(idle / 1024 / 1024)} MiB`);
    process.signal('SIGTERM');
    assert.equal(await process.exited, 0);
    assert.match(process.output(), /"event":"stopped"/);
    await assert.rejects(client.describe({}), { code: 'agent.unreachable', retryable: true });
  });

  test('whose disk is full gives no term, and makes backups all the same', needsSmallDisk(), async () => {
    await using disk = await smallDisk(256 * 1024);
    const { port } = await start('unused', disk.within, { ETCDGUARDIAN_STATE_DIR: `${disk.path}/state` });
    const client = scene.client(port);
    const { term } = await client.takeTerm({ holder: 'test' });
    await client.takeTerm({ holder: 'test', atLeast: term });
    const filler = await guardianCli(scene.folder).start(['--version'], {
      within: [
        ...disk.within,
        'sh',
        '-c',
        `dd if=/dev/zero of=${disk.path}/filler bs=4096 2>/dev/null; exec "$0" "$@"`,
      ],
    });
    await filler.exited;
    await assert.rejects(client.takeTerm({ holder: 'test' }), {
      code: 'agent.state',
      message: /ENOSPC|no space/i,
      retryable: true,
    });
    const request = scene.request('full-disk', term + 1n);
    const result = (await allOf(client.takeBackup(request))).at(-1)?.backup;
    assert.equal(result?.found, false);
    assert.equal((await client.describe({})).tasks.length, 1);
  });

  test('that is told of an etcd which is away says so, and finds it again', async () => {
    const { process, port } = await start('away');
    const client = scene.client(port);
    const { term } = await client.takeTerm({ holder: 'test' });
    await scene.etcd.stop();
    const { etcd } = await client.describe({});
    assert.equal(etcd?.unreachable?.retryable, true);
    await assert.rejects(allOf(client.takeBackup(scene.request('away', term))), {
      code: /etcd\./,
      retryable: true,
    });
    await scene.etcd.restart();
    await eventually('etcd', async () => (await client.describe({})).etcd?.unreachable === undefined);
    assert.equal((await allOf(client.takeBackup(scene.request('away', term)))).at(-1)?.backup?.found, false);
    await process.stop();
  });
});

async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
