import { Server, ServerCredentials, type ServerWritableStream, status } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasCode } from '../../guardian-error.ts';
import { connectEtcd } from './connect-etcd.ts';

/** One message of etcdserverpb.SnapshotResponse, or an end with a gRPC status. */
type Script = readonly ({ remaining_bytes?: number; blob: Buffer } | { code: status; details: string })[];

const DATABASE = Buffer.alloc(3000, 'database');
const DIGEST = Buffer.alloc(32, 'digest');

const whole: Script = [
  { remaining_bytes: 2000, blob: DATABASE.subarray(0, 1000) },
  { remaining_bytes: 1000, blob: DATABASE.subarray(1000, 2000) },
  { remaining_bytes: 0, blob: DATABASE.subarray(2000) },
  { remaining_bytes: 0, blob: DIGEST },
];

// No real etcd misbehaves on demand: this is a gRPC server that sends a script.
const cases: readonly [what: string, script: Script, code: string | undefined, says?: RegExp][] = [
  ['all bytes and the digest', whole, undefined],
  ['nothing', [], 'etcd.snapshot-cut', /after 0 of unknown bytes: etcd ended the stream early/],
  ['an end before the last byte', whole.slice(0, 2), 'etcd.snapshot-cut', /after 2000 of 3000 bytes/],
  ['no digest', whole.slice(0, 3), 'etcd.snapshot-cut', /after 3000 of 3000 bytes/],
  [
    'an error half-way',
    [...whole.slice(0, 2), { code: status.UNAVAILABLE, details: 'etcdserver: server stopped' }],
    'etcd.snapshot-cut',
    /after 2000 of 3000 bytes: .*server stopped/,
  ],
  [
    'an error after the digest',
    [...whole, { code: status.INTERNAL, details: 'too late' }],
    'etcd.snapshot-cut',
    /too late/,
  ],
  [
    'a refusal',
    [{ code: status.UNKNOWN, details: 'auth: permission denied' }],
    'etcd.permission-denied',
    /doesn't allow this to our user/,
  ],
  ['a short digest', [...whole.slice(0, 3), { blob: DIGEST.subarray(1) }], 'etcd.protocol', /doesn't add up/],
  ['a second digest', [...whole, { blob: DIGEST }], 'etcd.protocol', /doesn't add up/],
  ['a piece left out', [...whole.slice(0, 1), ...whole.slice(2)], 'etcd.protocol', /doesn't add up/],
  ['a piece twice', [...whole.slice(0, 2), ...whole.slice(1)], 'etcd.protocol', /doesn't add up/],
  ['more than announced', [{ blob: DATABASE }, { blob: DATABASE }], 'etcd.protocol', /doesn't add up/],
];

for (const [what, script, code, says = /.*/] of cases) {
  test(`a snapshot of ${what} is ${code ?? 'whole'}`, async () => {
    await using server = await serve(script);
    await using client = connectEtcd({ endpoints: [server.endpoint] });
    const snapshot = client.snapshot(server.endpoint);
    const pieces: Uint8Array[] = [];
    const reading = (async (): Promise<void> => {
      for await (const piece of snapshot) pieces.push(Buffer.from(piece));
    })();
    if (code === undefined) {
      await reading;
      assert.deepEqual(Buffer.concat(pieces), Buffer.concat([DATABASE, DIGEST]));
    } else {
      await assert.rejects(reading, (error) => hasCode(error, code) && says.test(error.message));
    }
  });
}

async function serve(script: Script): Promise<AsyncDisposable & { readonly endpoint: string }> {
  const loaded = loadSync(join(import.meta.dirname, '../../../proto/etcd/rpc.proto'), { keepCase: true });
  const service = loaded['etcdserverpb.Maintenance'] as Record<string, MethodDefinition<object, object>>;
  const server = new Server();
  server.addService(service, {
    Status: (_: unknown, answer: (error: null, reply: object) => void) => {
      answer(null, { header: { member_id: '7' }, version: '3.6.0' });
    },
    Snapshot: (call: ServerWritableStream<object, object>) => {
      for (const step of script) {
        if ('code' in step) call.emit('error', step);
        else call.write(step);
      }
      call.end();
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}
