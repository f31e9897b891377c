import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { AlgorithmSuiteIdentifier, buildClient, CommitmentPolicy } from '@aws-crypto/client-node';
import { chunksOf, collectBytes } from '../../test/harness/byte-stream.ts';
import { aesKeyProvider, generateAesKey } from './aes-key.ts';
import { envelopeEncryption } from './envelope-encryption.ts';
import { generateRecoveryKey, recoveryKeyProvider } from './recovery-key.ts';

// The SDK's own streams are the judge of our frames, in both directions.
const sdk = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const context = { cluster: 'prod', timeline: 't1', object: 'clusters/prod/t1/base' };
const encryptionContext = { ...context, format: 'etcdguardian/1' };
const aes = aesKeyProvider(generateAesKey(), { seals: true });
const recovery = recoveryKeyProvider(await generateRecoveryKey(), { seals: true });
const FRAME = 64;
const ours = envelopeEncryption([aes, recovery], { frameLength: FRAME });
const lengths = [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME, 1000];

test('the SDK opens what we seal, with either key', async () => {
  for (const length of lengths) {
    const plaintext = randomBytes(length);
    const sealed = await collectBytes(ours.seal(chunksOf(plaintext, 33), context));
    for (const { keyring } of [aes, recovery]) {
      const opened = await sdk.decrypt(keyring, sealed);
      assert.deepEqual(opened.plaintext, plaintext, `${length} bytes`);
      assert.deepEqual({ ...opened.messageHeader.encryptionContext }, encryptionContext);
      assert.equal(opened.messageHeader.suiteId, 0x0478);
      assert.equal(opened.messageHeader.encryptedDataKeys.length, 2);
    }
  }
});

test('we open what the SDK seals', async () => {
  const suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
  for (const length of lengths) {
    const plaintext = randomBytes(length);
    for (const { keyring } of [aes, recovery]) {
      const { result } = await sdk.encrypt(keyring, plaintext, {
        suiteId,
        encryptionContext,
        frameLength: FRAME,
      });
      assert.deepEqual(
        await collectBytes(ours.open(chunksOf(result, 33), context)),
        plaintext,
        `${length} bytes`,
      );
    }
  }
});

test('a message of the SDK without key commitment is refused', async () => {
  const old = buildClient(CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT);
  const suiteId = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA256;
  const { result } = await old.encrypt(aes.keyring, Buffer.from('x'), { suiteId, encryptionContext });
  await assert.rejects(collectBytes(ours.open(chunksOf(result, 33), context)), {
    code: 'encryption.plaintext',
  });
});
