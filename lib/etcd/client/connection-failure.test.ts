import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionFailure } from './connection-failure.ts';
import { parseEndpoint } from './endpoint.ts';
import type { Route } from './route.ts';
import type { Walk } from './walk-connection.ts';

// What a real etcd can be brought to is in connection-failure.server.test.ts; here is the rest.
const peer = {
  subject: 'CN=etcd-0',
  issuer: 'CN=ca',
  validFrom: '2026-02-01T00:00:00.000Z',
  validTo: '2027-02-01T00:00:00.000Z',
  names: 'DNS:etcd-0',
};
const alert = { code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', message: 'unknown ca' };

const cases: readonly [
  holds: string,
  walk: Walk,
  url: string,
  code: string | undefined,
  says: RegExp,
  retryable?: boolean,
][] = [
  ['nothing is wrong', { step: 'open', peer }, 'https://e:1', undefined, /./],
  [
    'a name server that fails may work later',
    { step: 'lookup', error: { code: 'EAI_AGAIN', message: '' } },
    'http://e:1',
    'etcd.dns',
    /the name e can't be resolved \(EAI_AGAIN\)/,
    true,
  ],
  [
    'a name that is never resolved',
    { step: 'lookup' },
    'http://e:1',
    'etcd.connect-timeout',
    /within 5000 ms: its name is not resolved/,
    true,
  ],
  [
    'packets that nobody answers',
    { step: 'tcp' },
    'http://e:1',
    'etcd.connect-timeout',
    /within 5000 ms: nothing answers/,
    true,
  ],
  [
    'no route',
    { step: 'tcp', error: { code: 'EHOSTUNREACH', message: 'connect EHOSTUNREACH' } },
    'http://e:1',
    'etcd.unreachable',
    /EHOSTUNREACH/,
    true,
  ],
  [
    "a certificate of etcd's that is not valid yet",
    { step: 'tls', distrust: 'CERT_NOT_YET_VALID', peer },
    'https://e:1',
    'etcd.tls',
    /CN=etcd-0, issued by CN=ca\) is not valid before 2026-02-01/,
    false,
  ],
  [
    'a TLS server that answers plain http with an alert',
    { step: 'http2', said: Buffer.from([0x15, 3, 1, 0, 2, 2, 70]) },
    'http://e:1',
    'etcd.tls',
    /wants TLS/,
    false,
  ],
  [
    'a plain connection that ends without a word, which may also be an etcd that goes down',
    { step: 'http2', hungUp: true },
    'http://e:1',
    'etcd.tls',
    /most likely it wants TLS/,
    true,
  ],
  [
    "an etcd that can't use its own certificate right now",
    { step: 'tls', error: { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', message: 'internal error' } },
    'https://e:1',
    'etcd.tls',
    /can't speak TLS now/,
    true,
  ],
  [
    'a plain connection that is reset',
    { step: 'http2', error: { code: 'ECONNRESET', message: 'read ECONNRESET' } },
    'http://e:1',
    'etcd.unreachable',
    /ECONNRESET/,
    true,
  ],
  [
    'a TLS connection that is reset after the handshake',
    { step: 'http2', error: { code: 'ECONNRESET', message: 'read ECONNRESET' }, peer },
    'https://e:1',
    'etcd.tls',
    /broke off after TLS was set up \(ECONNRESET\)/,
    true,
  ],
  [
    'an alert while we have no certificate of our own',
    { step: 'tls', error: alert },
    'https://e:1',
    'etcd.tls',
    /wants a client certificate/,
    false,
  ],
];

for (const [holds, walk, url, code, says, retryable] of cases) {
  test(`${holds}: ${code ?? 'no failure'}`, () => {
    const route: Route = {
      endpoint: parseEndpoint(url, false),
      material: { ca: undefined, identity: undefined },
      serverName: undefined,
      insecureSkipVerify: false,
      complaint: undefined,
    };
    const failure = connectionFailure(route, walk, 5_000, new Date('2026-11-22T00:00:00Z'));
    assert.equal(failure?.code, code);
    if (failure === undefined) return;
    assert.match(failure.message, says);
    assert.ok(failure.message.includes(url));
    assert.equal(failure.retryable, retryable);
    assert.notEqual(failure.hint ?? '', '');
  });
}
