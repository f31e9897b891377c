import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { parseEndpoint } from './endpoint.ts';

test('endpoints are read as people write them', () => {
  const cases: [text: string, tls: boolean, url: string, host: string, port: number][] = [
    ['https://etcd-0.example:2379', true, 'https://etcd-0.example:2379', 'etcd-0.example', 2379],
    ['https://etcd-0.example:2379/', false, 'https://etcd-0.example:2379', 'etcd-0.example', 2379],
    ['http://10.0.0.1:4001', false, 'http://10.0.0.1:4001', '10.0.0.1', 4001],
    ['10.0.0.1:2379', false, 'http://10.0.0.1:2379', '10.0.0.1', 2379],
    ['10.0.0.1:2379', true, 'https://10.0.0.1:2379', '10.0.0.1', 2379],
    ['HTTPS://Node1', false, 'https://node1:2379', 'node1', 2379],
    ['https://host:443', true, 'https://host:443', 'host', 443],
    ['[::1]:2379', true, 'https://[::1]:2379', '::1', 2379],
    ['http://[fd00::5]', false, 'http://[fd00::5]:2379', 'fd00::5', 2379],
    ['  localhost  ', false, 'http://localhost:2379', 'localhost', 2379],
  ];
  for (const [text, tls, url, host, port] of cases) {
    assert.deepEqual(parseEndpoint(text, tls), { url, host, port, secure: url.startsWith('https') }, text);
  }
});

test('what is no endpoint is refused with a hint', () => {
  const wrong = [
    '',
    'https://',
    'ftp://a:1',
    'unix:///run/etcd',
    'a:b',
    'a:0',
    'a:65536',
    'a/b',
    'https://a/health',
  ];
  for (const text of [
    ...wrong,
    '::1',
    '[::1',
    '[zz]:1',
    '[1]',
    'user@host:1',
    'a b',
    'a,b:1 c',
    'http://a?x=1',
  ]) {
    assert.throws(
      () => parseEndpoint(text, false),
      (error) => hasCode(error, 'etcd.settings') && error.hint !== undefined,
      text,
    );
  }
});

test('plain http beside certificates is refused: it would send the password in the clear', () => {
  assert.throws(() => parseEndpoint('http://a:1', true), /plain http/);
});
