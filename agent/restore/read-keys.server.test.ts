import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { hasCode } from '../../lib/guardian-error.ts';
import { KEY_LIMITS } from '../../lib/restore/own/key-limits.ts';
import { putOne } from '../../test/harness/etcd-content.ts';
import { base64, callGateway } from '../../test/harness/etcd-gateway.ts';
import { type Etcd, startEtcd } from '../../test/harness/etcd.ts';
import { DEFAULT_ETCD, needs } from '../../test/harness/tools.ts';
import { readKeys } from './read-keys.ts';

describe('keys that are read from the etcd of this node', needs(`etcd ${DEFAULT_ETCD}`), () => {
  const { signal } = new AbortController();
  let etcd: Etcd;
  let client: EtcdClient;
  before(async () => {
    etcd = await startEtcd();
    client = connectEtcd({ endpoints: [etcd.endpoint] });
    for (let number = 0; number < 70; number++)
      await putOne(etcd, `/pods/own/${String(number).padStart(2, '0')}`, 'x'.repeat(number * 50));
    for (const key of ['/pods/other/a', '/pods/own', '/secrets/own/a', '/z']) await putOne(etcd, key, key);
    await callGateway(etcd, 'kv/put', {
      key: Buffer.from('/\xff\xff', 'latin1').toString('base64'),
      value: base64('last'),
    });
  });
  after(async () => {
    await client.close();
    await etcd[Symbol.asyncDispose]();
  });

  const read = async (keys: string[], prefixes: string[], limits = KEY_LIMITS): Promise<string[]> => {
    const bytes = (texts: string[]) => texts.map((text) => Buffer.from(text, 'latin1'));
    const { items, revision } = await readKeys(
      client,
      { keys: bytes(keys), prefixes: bytes(prefixes) },
      signal,
      limits,
    );
    assert.equal(revision, (await etcd.status()).revision);
    return items.map(({ key }) => Buffer.from(key).toString('latin1'));
  };

  test('come each once and in order, with their values, at one revision', async () => {
    const found = await read(
      ['/z', '/pods/own/03', '/missing', '/secrets/own/a', '/z'],
      ['/pods/own/', '/pods/own/1', '/\xff', '/nothing/', '/pods/own/'],
    );
    assert.equal(found.length, 70 + 3);
    assert.deepEqual(found.slice(0, 2), ['/pods/own/00', '/pods/own/01']);
    assert.deepEqual(found.slice(-3), ['/secrets/own/a', '/z', '/\xff\xff']);
    const { items } = await readKeys(client, { keys: [], prefixes: [Buffer.from('/pods/own/')] }, signal);
    assert.deepEqual(
      items.map(({ value }) => value.length),
      Array.from({ length: 70 }, (_, at) => at * 50),
    );
    assert.deepEqual(await read([], []), []);
  });

  test('stay as they were when it began, whatever is written meanwhile', async () => {
    const watched: Pick<EtcdClient, 'range'> = {
      async range(key, options) {
        const answer = await client.range(key, options);
        await putOne(etcd, '/pods/own/zz', 'meanwhile');
        return answer;
      },
    };
    const { items } = await readKeys(watched, { keys: [], prefixes: [Buffer.from('/pods/')] }, signal);
    assert.equal(items.length, 72);
    await callGateway(etcd, 'kv/deleterange', { key: base64('/pods/own/zz') });
  });

  test('are refused as a whole when they are too many or too large, without their values', async () => {
    for (const limits of [
      { keys: 69, bytes: 1 << 20 },
      { keys: 100, bytes: 50_000 },
    ])
      await assert.rejects(read([], ['/pods/own/'], limits), (error) => {
        assert.ok(hasCode(error, 'agent.too-many-keys') && !error.message.includes('xxx'));
        assert.match(error.message, /\/pods\/own\//);
        return true;
      });
    assert.equal((await read([], ['/pods/own/'], { keys: 70, bytes: 1 << 20 })).length, 70);
    for (const [keys, prefixes] of [
      [[''], []],
      [[], ['']],
    ] as const)
      await assert.rejects(read([...keys], [...prefixes]), (error) => hasCode(error, 'agent.request'));
  });
});
