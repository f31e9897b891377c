import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GuardianError } from '../../guardian-error.ts';
import { type LeaseClient, LeaseTable } from './lease-table.ts';

/** A double: etcd tells nobody when it has answered, and grants no 20,000 leases in a test's time. */
class Leases implements LeaseClient {
  readonly granted = new Map<bigint, bigint>();
  asked: bigint[] = [];
  failing = false;

  leases(): ReturnType<LeaseClient['leases']> {
    if (this.failing)
      return Promise.reject(new GuardianError('etcd.unavailable', 'no leader', { retryable: true }));
    const header = { clusterId: 1n, memberId: 1n, revision: 1n, raftTerm: 1n };
    return Promise.resolve({ header, ids: [...this.granted.keys()] });
  }

  leaseTimeToLive(id: bigint): ReturnType<LeaseClient['leaseTimeToLive']> {
    this.asked.push(id);
    if (this.failing)
      return Promise.reject(new GuardianError('etcd.unavailable', 'no leader', { retryable: true }));
    const grantedTtl = this.granted.get(id);
    return Promise.resolve(grantedTtl === undefined ? undefined : { id, ttl: 1n, grantedTtl });
  }
}

interface Running extends AsyncDisposable {
  readonly table: LeaseTable;
}

function running(client: LeaseClient, listEveryMs: number): Running {
  const ending = new AbortController();
  const table = new LeaseTable(client, { listEveryMs, signal: ending.signal });
  const listing = table.run();
  return {
    table,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await listing;
    },
  };
}

describe('the table of leases', () => {
  test('is told whole first, then what has changed, ids unsigned', async () => {
    const etcd = new Leases();
    etcd.granted.set(7n, 60n).set(-1n, 30n);
    await using leases = running(etcd, 20);
    const { table } = leases;
    await table.settled(5000);
    const first = table.take();
    assert.equal(first.complete, true);
    assert.deepEqual(
      new Map(first.granted),
      new Map([
        [7n, 60n],
        [2n ** 64n - 1n, 30n],
      ]),
    );

    etcd.granted.delete(7n);
    etcd.granted.set(8n, 90n);
    table.saw(0, 8);
    const changes = { complete: false, granted: [] as [bigint, bigint][], gone: [] as bigint[] };
    for (
      const deadline = performance.now() + 60_000;
      performance.now() < deadline && changes.gone.length === 0;
    ) {
      await table.settled(50);
      const { granted, gone, complete } = table.take();
      assert.equal(complete, false);
      changes.granted.push(...granted);
      changes.gone.push(...gone);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(changes, { complete: false, granted: [[8n, 90n]], gone: [7n] });
    table.tellAgain();
    assert.deepEqual(table.take().complete, true);
  });

  test('asks once for a lease that many events name, and leaves out one that is gone by then', async () => {
    const etcd = new Leases();
    etcd.granted.set(5n, 60n);
    await using leases = running(etcd, 60_000);
    const { table } = leases;
    await table.settled(5000);
    table.take();
    for (let event = 0; event < 100; event++) table.saw(0x80000000, event % 2);
    table.saw(0, 5);
    await table.settled(5000);
    assert.deepEqual(new Set(etcd.asked), new Set([5n, -(2n ** 63n), -(2n ** 63n) + 1n]));
    assert.equal(etcd.asked.length, 3);
    assert.deepEqual(table.take(), { complete: false, granted: [], gone: [] });
  });

  test('shares more changes than one segment takes among several', async () => {
    const etcd = new Leases();
    for (let id = 1n; id <= 20_000n; id++) etcd.granted.set(id, id);
    await using leases = running(etcd, 60_000);
    await leases.table.settled(20_000);
    const told = [leases.table.take(), leases.table.take(), leases.table.take(), leases.table.take()];
    assert.deepEqual(
      told.map(({ complete, granted }) => [complete, granted.length]),
      [
        [true, 8192],
        [false, 8192],
        [false, 3616],
        [false, 0],
      ],
    );
    assert.equal(new Set(told.flatMap(({ granted }) => granted.map(([id]) => id))).size, 20_000);
  });

  test('never makes anyone wait for an etcd that doesn’t answer', async () => {
    const etcd = new Leases();
    etcd.failing = true;
    await using leases = running(etcd, 60_000);
    leases.table.saw(0, 5);
    const begun = performance.now();
    await leases.table.settled(20);
    assert.ok(performance.now() - begun < 30_000);
    assert.deepEqual(leases.table.take(), { complete: false, granted: [], gone: [] });
  });
});
