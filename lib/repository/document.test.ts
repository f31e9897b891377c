import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { z } from 'zod';
import { testKeys } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { signDocument } from '../encryption/signed-document.ts';
import { LocalStore } from '../storage/local-store.ts';
import {
  decodeDocument,
  encodeDocument,
  FORMAT_VERSION,
  MAX_DOCUMENT_BYTES,
  readDocument,
} from './document.ts';
import { decimal64, hex64, instant } from './wire.ts';

const kind = {
  payloadType: 'application/vnd.etcdguardian.test+json',
  schema: z.object({
    formatVersion: z.literal(FORMAT_VERSION),
    revision: decimal64,
    member: hex64,
    at: instant,
    nested: z.object({ list: z.array(z.object({ size: z.int() })) }),
    note: z.string().optional(),
  }),
};
const value = {
  formatVersion: FORMAT_VERSION,
  revision: 2n ** 63n - 1n,
  member: 0x0a02_0000_0000_0001n,
  at: new Date('2026-11-22T05:30:00.123Z'),
  nested: { list: [{ size: 1 }] },
};
const { signer, verifier } = testKeys();

test('values survive, 64-bit ones to the last digit', () => {
  const document = encodeDocument(kind, value, signer);
  assert.deepEqual(decodeDocument(kind, document, 'x.json', verifier).value, value);
  const { payload } = z.object({ payload: z.string() }).parse(JSON.parse(document.toString()));
  assert.deepEqual(JSON.parse(Buffer.from(payload, 'base64').toString()), {
    formatVersion: 1,
    revision: '9223372036854775807',
    member: '0a02000000000001',
    at: '2026-11-22T05:30:00.123Z',
    nested: { list: [{ size: 1 }] },
  });
  assert.equal(encodeDocument(kind, { ...value, revision: -1n }, undefined).length > 0, true);
});

test('what the schema doesn’t allow is refused by its path', () => {
  const cases: [RegExp, object][] = [
    [/nested\.list\[0\]\.size/, { ...json(), nested: { list: [{ size: '1' }] } }],
    [/revision/, { ...json(), revision: '007' }],
    [/revision/, { ...json(), revision: 7 }],
    [/revision/, { ...json(), revision: '9223372036854775808' }],
    [/member/, { ...json(), member: 'a02' }],
    [/at/, { ...json(), at: '2026-11-22' }],
    [/at/, { ...json(), at: '2026-13-45T00:00:00.000Z' }],
    [/formatVersion/, { ...json(), formatVersion: 0 }],
    [/at/, { formatVersion: 1 }],
  ];
  for (const [path, payload] of cases) {
    const refused = { code: 'repository.damaged', message: path };
    assert.throws(() => decodeDocument(kind, sealed(JSON.stringify(payload)), 'x.json', undefined), refused);
  }
});

test('a newer format, another kind, and what is no JSON are told apart', () => {
  const cases: [string, Buffer][] = [
    ['repository.format', sealed(JSON.stringify({ formatVersion: 2, all: 'else differs' }))],
    ['repository.damaged', sealed('[1,2')],
    ['repository.damaged', sealed('null')],
    ['repository.damaged', sealed(Buffer.from([0xff, 0xfe]))],
    ['signature.malformed', sealed(JSON.stringify(json()), 'application/vnd.etcdguardian.other+json')],
    ['repository.damaged', Buffer.from('')],
    ['repository.damaged', signDocument(kind.payloadType, Buffer.from(JSON.stringify(json())), signer)],
  ];
  for (const [code, document] of cases) {
    assert.throws(() => decodeDocument(kind, document, 'x.json', undefined), { code, message: /x\.json/ });
  }
});

test('fields that are not known yet are passed over', () => {
  const document = sealed(JSON.stringify({ ...json(), later: { more: true } }));
  assert.deepEqual(decodeDocument(kind, document, 'x.json', undefined).value, value);
});

test('a signature is demanded where a key is pinned', () => {
  const unsigned = encodeDocument(kind, value, undefined);
  assert.throws(() => decodeDocument(kind, unsigned, 'x.json', verifier), {
    code: 'signature.missing',
    message: /^x\.json: /,
  });
  const foreign = encodeDocument(kind, value, testKeys(9).signer);
  assert.throws(() => decodeDocument(kind, foreign, 'x.json', verifier), { code: 'signature.untrusted' });
});

test('a document that is too large is neither written nor believed', async () => {
  const note = 'x'.repeat(MAX_DOCUMENT_BYTES);
  assert.throws(() => encodeDocument(kind, { ...value, note }, signer), { code: 'repository.document-size' });
  await using folder = await temporaryFolder();
  const store = new LocalStore(folder.path);
  await store.putIfAbsent('large.json', sealed(JSON.stringify({ ...json(), note })));
  await assert.rejects(readDocument(store, kind, 'large.json', undefined, undefined), {
    code: 'repository.damaged',
    message: /more than 1048576 bytes/,
  });
});

function json(): Record<string, unknown> {
  return { ...z.encode(kind.schema, value) };
}

/** A payload as some other program might have written it, but with the right SHA-256 at its end. */
function sealed(payload: string | Buffer, payloadType = kind.payloadType): Buffer {
  const envelope = signDocument(payloadType, Buffer.from(payload), undefined);
  const head = envelope.subarray(0, -1);
  return Buffer.concat([
    head,
    Buffer.from(`,"sha256":"${createHash('sha256').update(head).digest('hex')}"}`),
  ]);
}
