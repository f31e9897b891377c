import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { askQueries } from './ask-queries.ts';
import type { Check } from './drill-report.ts';
import type { Query } from './queries.ts';

/** Of an etcd with one object under any key. */
async function asked(query: Query, object: object = {}): Promise<Check | undefined> {
  const value = Buffer.from(JSON.stringify(object));
  const range = (): Promise<object> => Promise.resolve({ kvs: [{ value }], count: 1n });
  const [check] = await askQueries([query], { etcd: { range } as unknown as EtcdClient });
  return check;
}

test('a value that is another one is told', async () => {
  const query = { key: '/registry/example.com/shops/main', field: 'spec.open', equals: true };
  const check = await asked(query, { spec: { open: false } });
  assert.deepEqual([check?.passed, check?.detail], [false, 'spec.open is false']);
});

test('but never one of a Secret, nor what it should be', async () => {
  const where: readonly Query[] = [
    { key: '/registry/secrets/shop/db', field: 'data.password', equals: 'wanted' },
    { resource: 'secrets', namespace: 'shop', object: 'db', field: 'data.password', equals: 'wanted' },
  ];
  for (const query of where)
    for (const password of ['hidden', 'wanted']) {
      const check = await asked(query, { data: { password } });
      assert.equal(check?.passed, password === 'wanted');
      assert.doesNotMatch(JSON.stringify(check), /hidden|wanted/);
    }
});
