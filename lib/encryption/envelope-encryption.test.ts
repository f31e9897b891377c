import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { GuardianError } from '../guardian-error.ts';
import { aesKeyProvider, generateAesKey } from './aes-key.ts';
import { envelopeEncryption } from './envelope-encryption.ts';
import type { ObjectContext, ObjectEncryption } from './object-encryption.ts';
import { recoveryKeyProvider } from './recovery-key.ts';

const context: ObjectContext = { cluster: 'prod', timeline: 't1', object: 'clusters/prod/t1/base' };
const aesKey = generateAesKey();
const recoveryKey = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
const writer = writerOf(aesKey, recoveryKey);

test('what was sealed opens again, at every length around a frame’s end', async () => {
  const encryption = writerOf(aesKey, recoveryKey, 16);
  for (const length of [0, 1, 15, 16, 17, 31, 32, 33, 100]) {
    const plaintext = randomBytes(length);
    for (const chunkLength of [1, 5, 16, 100]) {
      const sealed = await collectBytes(encryption.seal(chunksOf(plaintext, chunkLength), context));
      assert.deepEqual(
        await collectBytes(encryption.open(chunksOf(sealed, chunkLength), context)),
        plaintext,
      );
    }
  }
});

test('any one recipient opens: the AES key without the recovery key, and the recovery key alone', async () => {
  const plaintext = randomBytes(1000);
  const sealed = await collectBytes(writer.seal(chunksOf(plaintext, 100), context));
  assert.deepEqual(
    writer.recipients.map(({ kind }) => kind),
    ['aes-256', 'recovery-rsa'],
  );
  for (const provider of [
    aesKeyProvider(aesKey, { seals: true }),
    recoveryKeyProvider(recoveryKey, { seals: false }),
  ]) {
    const reader = envelopeEncryption([provider]);
    assert.deepEqual(await collectBytes(reader.open(chunksOf(sealed, 100), context)), plaintext);
  }
});

test('an old AES key opens what it sealed and is no recipient of what is new', async () => {
  const old = writerOf(generateAesKey(), recoveryKey);
  const oldKey = generateAesKey();
  const before = envelopeEncryption([aesKeyProvider(oldKey, { seals: true })]);
  const after = envelopeEncryption([
    aesKeyProvider(aesKey, { seals: true }),
    aesKeyProvider(oldKey, { seals: false }),
  ]);
  const sealed = await collectBytes(before.seal(chunksOf(Buffer.from('old'), 3), context));
  assert.equal((await collectBytes(after.open(chunksOf(sealed, 9), context))).toString(), 'old');
  const fresh = await collectBytes(after.seal(chunksOf(Buffer.from('new'), 3), context));
  await assert.rejects(collectBytes(before.open(chunksOf(fresh, 9), context)), {
    code: 'encryption.key-missing',
  });
  assert.equal(old.recipients.length, 2);
});

test('a missing key is told by name: who opens it, and what we hold', async () => {
  const sealed = await collectBytes(writer.seal(chunksOf(Buffer.from('x'), 1), context));
  const [aes, recovery] = writer.recipients;
  const stranger = aesKeyProvider(generateAesKey(), { seals: true });
  const cases: [ObjectEncryption, string][] = [
    [envelopeEncryption([stranger]), stranger.recipient.id],
    [
      envelopeEncryption([recoveryKeyProvider(createPublicKey(recoveryKey), { seals: true })]),
      'no key that opens',
    ],
  ];
  for (const [encryption, held] of cases) {
    await assert.rejects(collectBytes(encryption.open(chunksOf(sealed, 64), context)), {
      code: 'encryption.key-missing',
      message: `sealed object ${context.object} opens with ${aes?.id} or ${recovery?.id}; we hold ${held}`,
    });
  }
});

test('an object opens only under the cluster, timeline and name it was sealed for', async () => {
  const sealed = await collectBytes(writer.seal(chunksOf(Buffer.from('x'), 1), context));
  for (const other of [{ cluster: 'test' }, { timeline: 't2' }, { object: 'clusters/prod/t1/other' }]) {
    await assert.rejects(collectBytes(writer.open(chunksOf(sealed, 64), { ...context, ...other })), {
      code: 'encryption.context',
    });
  }
});

test('what is no sealed object is refused as plaintext, nothing at all as cut off', async () => {
  for (const bytes of [
    Buffer.from('{"some":"json"}'),
    Buffer.from('28b52ffd00', 'hex'),
    randomBytes(1).fill(0),
  ]) {
    await assert.rejects(collectBytes(writer.open(chunksOf(bytes, 4), context)), {
      code: 'encryption.plaintext',
    });
  }
  await assert.rejects(collectBytes(writer.open(chunksOf(Buffer.alloc(0), 4), context)), {
    code: 'encryption.truncated',
  });
});

test('keys that only open refuse to seal', async () => {
  const reader = envelopeEncryption([recoveryKeyProvider(recoveryKey, { seals: false })]);
  assert.deepEqual(reader.recipients, []);
  await assert.rejects(collectBytes(reader.seal(chunksOf(Buffer.from('x'), 1), context)), {
    code: 'encryption.read-only',
  });
});

test('an error of the source comes through, and the source is closed when the consumer stops', async () => {
  const failure = new GuardianError('store.unreachable', 'gone', { retryable: true });
  const sealed = await collectBytes(writer.seal(chunksOf(randomBytes(500), 100), context));
  async function* failing(bytes: Buffer): AsyncGenerator<Uint8Array> {
    yield* chunksOf(bytes.subarray(0, 1100), 100);
    throw failure;
  }
  await assert.rejects(collectBytes(writer.seal(failing(randomBytes(2000)), context)), failure);
  await assert.rejects(collectBytes(writer.open(failing(sealed), context)), failure);

  let closed = 0;
  async function* endless(head: Buffer): AsyncGenerator<Uint8Array> {
    try {
      yield head;
      for (;;) yield await Promise.resolve(Buffer.alloc(1 << 20));
    } finally {
      closed++;
    }
  }
  for await (const chunk of writer.seal(endless(Buffer.alloc(0)), context)) if (chunk.length > 2000) break;
  assert.equal(closed, 1);
  await assert.rejects(collectBytes(writer.open(endless(sealed), context)), { code: 'encryption.corrupt' });
  assert.equal(closed, 2);
});

test('no more is taken from the source than what is being read needs', async () => {
  const encryption = writerOf(aesKey, recoveryKey, 100);
  let given = 0;
  async function* counted(bytes: Buffer): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(bytes, 10)) {
      given += chunk.length;
      yield chunk;
    }
  }
  let taken = 0;
  const plaintext = randomBytes(5000);
  for await (const chunk of encryption.seal(counted(plaintext), context)) {
    taken += chunk.length;
    assert.ok(given <= taken + 100, `sealed ${taken} bytes of ${given}`);
  }
  const sealed = await collectBytes(encryption.seal(chunksOf(plaintext, 10), context));
  [given, taken] = [0, 0];
  for await (const chunk of encryption.open(counted(sealed), context)) {
    taken += chunk.length;
    const headsAndTags = 2000 + 0.5 * taken;
    assert.ok(given <= taken + 100 + headsAndTags, `opened ${taken} bytes of ${given}`);
  }
  assert.equal(taken, 5000);
});

test('an abort ends sealing and opening with its reason', async () => {
  const sealed = await collectBytes(writer.seal(chunksOf(randomBytes(1 << 20), 1 << 16), context));
  for (const call of [
    (signal: AbortSignal) => writer.seal(chunksOf(randomBytes(1 << 20), 1 << 16), context, { signal }),
    (signal: AbortSignal) => writer.open(chunksOf(sealed, 1 << 16), context, { signal }),
  ]) {
    const abort = new AbortController();
    const reason = new Error('enough');
    let chunks = 0;
    const reading = (async () => {
      for await (const chunk of call(abort.signal))
        if (chunk.length > 0 && ++chunks === 2) abort.abort(reason);
    })();
    await assert.rejects(reading, reason);
    assert.equal(chunks, 2);
  }
});

function writerOf(key: KeyObject, recovery: KeyObject, frameLength?: number): ObjectEncryption {
  return envelopeEncryption(
    [aesKeyProvider(key, { seals: true }), recoveryKeyProvider(createPublicKey(recovery), { seals: true })],
    frameLength === undefined ? {} : { frameLength },
  );
}
