import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { GuardianError } from '../guardian-error.ts';
import { aesKeyProvider, generateAesKey } from './aes-key.ts';
import { envelopeEncryption } from './envelope-encryption.ts';
import { recoveryKeyProvider } from './recovery-key.ts';

const FRAME = 32;
const context = { cluster: 'prod', timeline: 't1', object: 'clusters/prod/t1/base' };
const recoveryKey = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
const aes = aesKeyProvider(generateAesKey(), { seals: true });
const writer = envelopeEncryption([aes, recoveryKeyProvider(createPublicKey(recoveryKey), { seals: true })], {
  frameLength: FRAME,
});
const withRecoveryKey = envelopeEncryption([recoveryKeyProvider(recoveryKey, { seals: false })]);

const plaintext = randomBytes(4 * FRAME + 10);
const sealed = await seal(plaintext);
const HEAD = 16;
const TAG = 16;
const frameBytes = HEAD + FRAME + TAG;
const lastFrameBytes = HEAD + 8 + 10 + TAG;
const headerBytes = sealed.length - 4 * frameBytes - lastFrameBytes;

test('every single changed byte is detected, and nothing of the changed frame comes out', async () => {
  const codes = new Set<string>();
  for (let offset = 0; offset < sealed.length; offset++) {
    const changed = Buffer.from(sealed);
    changed[offset] = (changed[offset] ?? 0) ^ (1 + (offset % 255));
    const { code, yielded } = await open(changed);
    codes.add(code);
    const soundFrames = Math.max(0, Math.floor((offset - headerBytes) / frameBytes));
    assert.deepEqual(yielded, plaintext.subarray(0, soundFrames * FRAME), `offset ${offset}`);
  }
  codes.delete('encryption.plaintext');
  codes.delete('encryption.key-missing');
  codes.delete('encryption.truncated');
  assert.deepEqual([...codes], ['encryption.corrupt']);
});

test('a changed byte is detected with the recovery key alone as well', async () => {
  for (let offset = 0; offset < sealed.length; offset += 7) {
    const changed = Buffer.from(sealed);
    changed[offset] = (changed[offset] ?? 0) ^ 0x80;
    assert.match((await open(changed, withRecoveryKey)).code, /^encryption\./, `offset ${offset}`);
  }
});

test('an object cut off at any length is told as truncated', async () => {
  for (let length = 0; length < sealed.length; length++) {
    const { code, yielded } = await open(sealed.subarray(0, length));
    assert.equal(code, 'encryption.truncated', `length ${length}`);
    assert.equal(yielded.compare(plaintext.subarray(0, yielded.length)), 0);
  }
});

test('frames that were moved, repeated, left out or taken from elsewhere are told as corrupt', async () => {
  const other = await seal(randomBytes(plaintext.length));
  const cases: [string, number, Buffer[]][] = [
    ['two frames swapped', 0, [frame(sealed, 2), frame(sealed, 1), frame(sealed, 3), frame(sealed, 4)]],
    ['a frame twice', 2, [frame(sealed, 1), frame(sealed, 2), frame(sealed, 2), frame(sealed, 3)]],
    ['a frame left out', 1, [frame(sealed, 1), frame(sealed, 3), frame(sealed, 4)]],
    ['a frame of another object', 1, [frame(sealed, 1), frame(other, 2), frame(sealed, 3), frame(sealed, 4)]],
  ];
  for (const [name, soundFrames, frames] of cases) {
    const { code, yielded } = await open(Buffer.concat([header(sealed), ...frames, lastFrame(sealed)]));
    assert.equal(code, 'encryption.corrupt', name);
    assert.equal(yielded.length, soundFrames * FRAME, name);
  }
});

test('the last frame of another object, a last frame too early, and bytes after it are told as corrupt', async () => {
  const other = await seal(randomBytes(plaintext.length));
  const body = [1, 2, 3, 4].map((number) => frame(sealed, number));
  const cases: [string, Buffer[]][] = [
    ['of another object', [...body, lastFrame(other)]],
    ['too early', [...body.slice(0, 2), lastFrame(sealed)]],
    ['the header of another object', [...body, lastFrame(sealed)]],
    ['one byte too many', [...body, lastFrame(sealed), Buffer.alloc(1)]],
    ['another object behind it', [...body, lastFrame(sealed), other]],
  ];
  for (const [name, parts] of cases) {
    const begin = name.startsWith('the header') ? header(other) : header(sealed);
    assert.equal((await open(Buffer.concat([begin, ...parts]))).code, 'encryption.corrupt', name);
  }
});

test('hostile lengths in a header are refused without reading on', async () => {
  const cases: [string, string, (bytes: Buffer) => void][] = [
    ['encryption.corrupt', 'a context of 65,535 bytes', (bytes) => bytes.writeUInt16BE(0xffff, 35)],
    [
      'encryption.corrupt',
      '65,535 recipients',
      (bytes) => bytes.writeUInt16BE(0xffff, recipientCountAt(bytes)),
    ],
    ['encryption.corrupt', 'no recipient', (bytes) => bytes.writeUInt16BE(0, recipientCountAt(bytes))],
    [
      'encryption.corrupt',
      'a wrapped key of 65,535 bytes',
      (bytes) => bytes.writeUInt16BE(0xffff, wrappedKeyAt(bytes)),
    ],
    [
      'encryption.corrupt',
      'frames of 4 GiB',
      (bytes) => bytes.writeUInt32BE(0xffffffff, headerBytes - 16 - 32 - 4),
    ],
    ['encryption.corrupt', 'frames of 0 bytes', (bytes) => bytes.writeUInt32BE(0, headerBytes - 16 - 32 - 4)],
  ];
  for (const [code, name, change] of cases) {
    const changed = Buffer.from(sealed);
    change(changed);
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield changed;
      for (;;) yield await Promise.resolve(Buffer.alloc(((given += 1024), 1024)));
    }
    await assert.rejects(collectBytes(writer.open(endless(), context)), { code }, name);
    assert.ok(given <= 128 * 1024, `${name}: ${given} bytes read`);
  }
});

async function seal(bytes: Buffer): Promise<Buffer> {
  return collectBytes(writer.seal(chunksOf(bytes, 50), context));
}

/** The code it fails with, and what it gave before. */
async function open(bytes: Buffer, encryption = writer): Promise<{ code: string; yielded: Buffer }> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of encryption.open(chunksOf(bytes, 64), context)) pieces.push(piece);
    return { code: 'none', yielded: Buffer.concat(pieces) };
  } catch (error) {
    assert.ok(error instanceof GuardianError, String(error));
    return { code: error.code, yielded: Buffer.concat(pieces) };
  }
}

function header(bytes: Buffer): Buffer {
  return bytes.subarray(0, headerBytes);
}

function frame(bytes: Buffer, number: number): Buffer {
  const start = headerBytes + (number - 1) * frameBytes;
  return bytes.subarray(start, start + frameBytes);
}

function lastFrame(bytes: Buffer): Buffer {
  return bytes.subarray(bytes.length - lastFrameBytes);
}

/** After version, suite, message id (32) and the context with its length. */
function recipientCountAt(bytes: Buffer): number {
  return 35 + 2 + bytes.readUInt16BE(35);
}

/** The length of the first recipient's wrapped key, after its provider id and provider info. */
function wrappedKeyAt(bytes: Buffer): number {
  const providerId = recipientCountAt(bytes) + 2;
  const providerInfo = providerId + 2 + bytes.readUInt16BE(providerId);
  return providerInfo + 2 + bytes.readUInt16BE(providerInfo);
}
