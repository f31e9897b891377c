import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { startHttpProxy } from '../../test/harness/http-proxy.ts';
import { collect } from './conformance-bytes.ts';
import { openStore } from './open-store.ts';
import type { Retry } from './retry-policy.ts';
import { parseStoreUrl } from './store-url.ts';

test('a folder named by a URL is opened', async () => {
  await using folder = await temporaryFolder();
  const url = pathToFileURL(folder.join('with space')).href;
  const store = await openStore(parseStoreUrl(url), { limits: { uploadBytesPerSecond: 1e9 } });
  assert.equal(store.location, url);
  await store.putIfAbsent('a', Buffer.from('x'));
  assert.equal((await collect(store.get('a'))).toString(), 'x');
});

test('opening a bucket names it, with nothing that a URL may hide', async () => {
  const settings = parseStoreUrl('s3://backups/etcd?endpoint=https://minio:9000&region=r');
  assert.equal((await openStore(settings)).location, 's3://backups/etcd');
});

test('calls to a bucket that is not reached are repeated, and each repetition is told', async () => {
  await using proxy = await startHttpProxy('http://127.0.0.1:9', () => ({ kind: 'break' }));
  const settings = parseStoreUrl(`s3://backups?endpoint=${proxy.endpoint}`);
  if (settings.kind !== 's3') throw new Error('not a bucket');
  const credentials = { kind: 'static', accessKeyId: 'a', secretAccessKey: 'b' } as const;
  const told: Retry[] = [];
  const store = await openStore(
    { ...settings, credentials },
    { random: () => 0, onRetry: (retry) => told.push(retry) },
  );
  await assert.rejects(store.stat('x'), /tried 6 times/);
  assert.equal(told.length, 5);
  assert.equal(proxy.seen.length, 6);
  assert.match(told[0]?.what ?? '', /object x in s3:\/\/backups/);
});

test('a folder is opened without anything that only S3 needs', () => {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { openStore } = await import('${new URL('open-store.ts', import.meta.url).href}');
    await openStore({ kind: 'local', folder: '/nowhere' });
    console.log(loaded.join('\\n'));`;
  const loaded = execFileSync(process.execPath, ['--input-type=module', '--eval', program]).toString();
  assert.match(loaded, /local-store/);
  assert.doesNotMatch(loaded, /s3-store|aws-sdk|smithy/);
});
