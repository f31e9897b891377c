import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { GuardianError } from '../guardian-error.ts';
import { openDocument, preAuthenticationEncoding, signDocument, signersOf } from './signed-document.ts';
import { createSigner, createVerifier, signingKeyFromSeed } from './signing-key.ts';

const type = 'application/vnd.etcdguardian.manifest+json';
const payload = Buffer.from('{"revision":"42"}');
const key = signingKeyFromSeed(Buffer.alloc(32, 1));
const signer = createSigner(key);
const verifier = createVerifier([createPublicKey(key)]);
const stranger = createSigner(signingKeyFromSeed(Buffer.alloc(32, 2)));

test('the pre-authentication encoding is that of the DSSE specification', () => {
  const encoded = preAuthenticationEncoding('http://example.com/HelloWorld', Buffer.from('hello world'));
  assert.equal(encoded.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  assert.equal(preAuthenticationEncoding('é', Buffer.alloc(0)).toString(), 'DSSEv1 2 é 0 ');
});

test('a signed document opens with its key, and with no key at all', () => {
  const document = signDocument(type, payload, signer);
  assert.deepEqual(openDocument(document, type, verifier), payload);
  assert.deepEqual(openDocument(document, type, undefined), payload);
  assert.deepEqual(signersOf(document), [signer.keyId]);
});

test('the envelope is DSSE JSON with standard base64', () => {
  const bytes = Buffer.from([0xfb, 0xff, 0xfe]);
  const envelope: unknown = JSON.parse(signDocument(type, bytes, signer).toString());
  const sig = Buffer.from(signer.sign(preAuthenticationEncoding(type, bytes))).toString('base64');
  assert.deepEqual(envelope, {
    payloadType: type,
    payload: '+//+',
    signatures: [{ keyid: signer.keyId, sig }],
  });
});

test('an unsigned document opens only where no key is configured', () => {
  const document = signDocument(type, payload, undefined);
  assert.deepEqual(openDocument(document, type, undefined), payload);
  assert.throws(() => openDocument(document, type, verifier), { code: 'signature.missing' });
});

test('a document that is not what it should be is refused with one clear code', () => {
  const good = parsed(signDocument(type, payload, signer));
  const foreign = parsed(signDocument(type, payload, stranger));
  const cases: [string, string, unknown][] = [
    ['signature.untrusted', 'signed by a stranger', foreign],
    ['signature.invalid', 'a stranger’s signature under our id', relabelled(foreign)],
    ['signature.invalid', 'another payload', { ...good, payload: Buffer.from('{}').toString('base64') }],
    ['signature.malformed', 'another type', { ...good, payloadType: 'text/plain' }],
    ['signature.malformed', 'base64 with bits left over', { ...good, payload: 'QR==' }],
    ['signature.malformed', 'url-safe base64', { ...good, payload: '-_' }],
    ['signature.malformed', 'no signatures field', { payloadType: type, payload: '' }],
    [
      'signature.malformed',
      'too many signatures',
      { ...good, signatures: Array(17).fill(good.signatures[0]) },
    ],
    ['signature.malformed', 'a list', []],
    ['signature.malformed', 'nothing', null],
  ];
  for (const [code, name, document] of cases) {
    assert.throws(() => openDocument(Buffer.from(JSON.stringify(document)), type, verifier), { code }, name);
  }
  for (const bytes of ['', '{', '\xff\xfe']) {
    const document = Buffer.from(bytes, 'latin1');
    assert.throws(() => openDocument(document, type, undefined), { code: 'signature.malformed' });
  }
});

test('one good signature of a trusted key is enough among others', () => {
  const good = parsed(signDocument(type, payload, signer));
  const foreign = parsed(signDocument(type, payload, stranger));
  const both = { ...good, signatures: [...foreign.signatures, ...good.signatures] };
  assert.deepEqual(openDocument(Buffer.from(JSON.stringify(both)), type, verifier), payload);
});

test('every changed byte of a signed document is detected', () => {
  const document = signDocument(type, payload, signer);
  for (let offset = 0; offset < document.length; offset++) {
    for (const mask of [0x01, 0x20, 0x80, 0xff]) {
      const changed = Buffer.from(document);
      changed[offset] = (changed[offset] ?? 0) ^ mask;
      assert.throws(
        () => openDocument(changed, type, verifier),
        (error) => error instanceof GuardianError && error.code.startsWith('signature.'),
        `offset ${offset}, mask ${mask}`,
      );
    }
  }
});

interface Parsed {
  payloadType: string;
  payload: string;
  signatures: { keyid: string; sig: string }[];
}

function parsed(document: Buffer): Parsed {
  return JSON.parse(document.toString()) as Parsed;
}

function relabelled(envelope: Parsed): Parsed {
  return { ...envelope, signatures: envelope.signatures.map(({ sig }) => ({ keyid: signer.keyId, sig })) };
}
