import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BackupResult } from '../../lib/agent-api/task-messages.ts';
import type { RestoreOrder } from '../../lib/restore/cluster/coordinate-restore.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { needs } from '../../test/harness/tools.ts';
import { type RestoreScene, startRestoreScene } from './restore-scene.fixture.ts';

describe('what is staged by an agent', needs('etcd 3.6.16', 'versitygw'), () => {
  let scene: RestoreScene;
  let silent: SilentStore;
  let backup: BackupResult;
  before(async () => {
    scene = await startRestoreScene();
    silent = await silentStore();
    await scene.put('/registry/a', 'old');
    backup = await scene.backUp();
  });
  after(async () => {
    await silent[Symbol.asyncDispose]();
    await scene[Symbol.asyncDispose]();
  });

  test('makes room for what a later coordinator of the same restore has planned', async () => {
    const first = scene.order(backup);
    const earlier = await stagingFromSilence(first);
    const later: RestoreOrder = {
      ...first,
      stage: { ...first.stage, bumpTo: firstRevision(first) + 1_000_000n },
    };
    const staged = await stage(later);
    assert.ok(staged.revision >= firstRevision(later), `${staged.revision}`);
    await assert.rejects(earlier, { code: 'restore.cancelled' });
    const { state, term } = await scene.agent.restoreStatus({ operation: first.operation });
    assert.deepEqual([state, term], ['Staged', (await scene.agent.describe({})).term]);
    await settle(first.operation);
  });

  test('ends when a person settles it, and the next restore begins at once', async () => {
    const order = scene.order(backup);
    const ended = assert.rejects(await stagingFromSilence(order), { code: 'restore.cancelled' });
    assert.match(await settle(order.operation), /^(Failed|RolledBack)$/);
    await ended;
    assert.equal(existsSync(join(scene.dataDir, '.etcdguardian', order.operation)), false);
    const next = scene.order(backup);
    assert.ok((await stage(next)).revision >= firstRevision(next));
    await settle(next.operation);
  });

  test('goes within the time of a hold when its coordinator dies before the first', async () => {
    const order = scene.order(backup);
    await assert.rejects(stage(fromSilence(order), 1_000), { code: 'restore.cancelled' });
    const { state } = await scene.agent.restoreStatus({ operation: order.operation });
    assert.equal(state, 'Failed');
  });

  async function stage(order: RestoreOrder, holdMs = 600_000): Promise<{ readonly revision: bigint }> {
    const { operation } = order;
    const participant = scene.participant();
    const { signal } = new AbortController();
    const term = await participant.takeTerm({ holder: 'restore/test', atLeast: 0n, operation }, signal);
    const call = { fence: { operation, term }, budgetMs: 3_600_000, holdMs };
    return await participant.stage(order.stage, call, () => undefined, signal);
  }

  /** Is being staged from a store that takes calls and never answers; what it comes to is asked for by the call. */
  async function stagingFromSilence(order: RestoreOrder): Promise<() => Promise<unknown>> {
    const asked = silent.calls();
    const ended = stage(fromSilence(order));
    ended.catch(() => undefined);
    await eventually('the store is asked', () => Promise.resolve(silent.calls() > asked));
    return () => ended;
  }

  function fromSilence(order: RestoreOrder): RestoreOrder {
    const store = { ...order.stage.store, endpoint: silent.endpoint };
    return { ...order, stage: { ...order.stage, store } };
  }

  async function settle(operation: string): Promise<string> {
    const { term } = await scene.agent.takeTerm({ holder: 'cli/test', operation });
    const fence = { operation, term };
    const { state } = await scene.agent.settle({ fence, commit: false, withoutNodes: [], by: 'a person' });
    return state;
  }
});

function firstRevision({ stage: { bumpTo = 0n } }: RestoreOrder): bigint {
  return bumpTo;
}

interface SilentStore extends AsyncDisposable {
  readonly endpoint: string;
  readonly calls: () => number;
}

async function silentStore(): Promise<SilentStore> {
  const sockets = new Set<Socket>();
  let calls = 0;
  const server = createServer((socket) => {
    calls++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
  });
  const listening = Promise.withResolvers<undefined>();
  server.listen(0, '127.0.0.1', () => {
    listening.resolve(undefined);
  });
  await listening.promise;
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<undefined>();
      server.close(() => {
        closed.resolve(undefined);
      });
      for (const socket of sockets) socket.destroy();
      await closed.promise;
    },
  };
}
