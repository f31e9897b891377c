import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../guardian-error.ts';
import { parseStoreUrl, type StoreSettings } from './store-url.ts';

/** Without the options that were not given. */
function parsed(text: string): Partial<StoreSettings> {
  return Object.fromEntries(Object.entries(parseStoreUrl(text)).filter(([, value]) => value !== undefined));
}

function refusal(text: string): GuardianError {
  try {
    parseStoreUrl(text);
  } catch (error) {
    assert.ok(error instanceof GuardianError, String(error));
    assert.equal(error.code, 'store.url', text);
    assert.ok(error.hint !== undefined);
    return error;
  }
  return assert.fail(`${text} was taken`);
}

test('folders', () => {
  assert.deepEqual(parsed('file:///var/backups'), { kind: 'local', folder: '/var/backups' });
  assert.deepEqual(parsed('file:///var/my%20backups/'), { kind: 'local', folder: '/var/my backups/' });
});

test('buckets', () => {
  const plain = { kind: 's3', bucket: 'backups', prefix: '' };
  assert.deepEqual(parsed('s3://backups'), plain);
  assert.deepEqual(parsed('s3://backups/'), plain);
  assert.deepEqual(parsed('s3://backups/etcd/prod/'), { ...plain, prefix: 'etcd/prod' });
  assert.deepEqual(parsed('s3://my.bucket-1?region=eu-west-1'), {
    ...plain,
    bucket: 'my.bucket-1',
    region: 'eu-west-1',
  });
  assert.deepEqual(
    parsed(
      's3://backups/p?endpoint=https://minio.local:9000&region=r&pathStyle=false&ca=/etc/ca.pem' +
        '&objectLock=COMPLIANCE&signPayload=true&checksum=md5',
    ),
    {
      ...plain,
      prefix: 'p',
      endpoint: 'https://minio.local:9000',
      region: 'r',
      pathStyle: false,
      ca: { file: '/etc/ca.pem' },
      objectLock: 'COMPLIANCE',
      signPayload: true,
      checksum: 'md5',
    },
  );
  assert.deepEqual(parsed('s3://backups?endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A9000/'), {
    ...plain,
    endpoint: 'http://[::1]:9000',
  });
});

test('what is unclear is refused with store.url', () => {
  for (const text of [
    '',
    'backups',
    '/var/backups',
    'http://host/bucket',
    'S3//backups',
    's3://',
    's3:///prefix',
    's3:backups',
    's3://ab',
    's3://Bad_Bucket',
    's3://-bucket',
    `s3://${'b'.repeat(64)}`,
    's3://backups:9000/x',
    's3://backups//x',
    's3://backups/a//b',
    's3://backups/a b',
    's3://backups/%2e%2e/x',
    's3://backups/a%2fb',
    `s3://backups/${'p'.repeat(201)}`,
    's3://backups#x',
    's3://backups?regoin=x',
    's3://backups?region=',
    's3://backups?region=a&region=b',
    's3://backups?pathStyle=yes',
    's3://backups?objectLock=forever',
    's3://backups?checksum=none',
    's3://backups?endpoint=minio:9000',
    's3://backups?endpoint=ftp://minio',
    's3://backups?endpoint=https://minio/path',
    's3://backups?endpoint=https://minio?x=y',
    'file:///',
    'file://host/folder',
    'file:///folder?x=y',
    'file:///folder#x',
    'file:///a%2fb',
    'file:///a%00b',
  ]) {
    refusal(text);
  }
});

test('credentials in a URL are refused, and not repeated', () => {
  for (const text of [
    's3://KEY:hush@backups/x',
    's3://hush@backups',
    's3://backups?accessKeyId=a&secretAccessKey=hush',
    's3://backups?sessionToken=hush',
    's3://backups?endpoint=https://key:hush@minio',
    's3://backups?aws_secret_access_key=hush',
  ]) {
    const { message, hint } = refusal(text);
    assert.match(message, /holds credentials/);
    assert.match(hint ?? '', /AWS_/);
    assert.doesNotMatch(message, /hush/);
  }
});

test('no refusal repeats what may be secret', () => {
  for (const text of [
    's4://a:hush@b/c',
    's3://backups?x=hush',
    's3://backups#hush',
    's3://key:hush@',
    's3://Bad_/?y=hush',
  ]) {
    assert.doesNotMatch(refusal(text).message, /hush/);
  }
});
