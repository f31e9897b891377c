import { randomBytes } from 'node:crypto';
import {
  AlgorithmSuiteIdentifier,
  type EncryptedDataKey,
  getDecryptionHelper,
  getEncryptHelper,
  type GetCipher,
  type GetDecipher,
  NodeAlgorithmSuite,
  type NodeDecryptionMaterial,
  type NodeEncryptionMaterial,
} from '@aws-crypto/material-management-node';
import {
  ContentType,
  deserializeFactory,
  type HeaderInfo,
  MessageIdLength,
  serializeFactory,
} from '@aws-crypto/serialize';
import { reasonOf } from '../guardian-error.ts';
import type { ByteReader } from './byte-reader.ts';
import { corrupt, notSealed, truncated } from './sealed-object-errors.ts';

/** AES-256-GCM frames, HKDF-SHA-512, key commitment, no ECDSA: suite 0x0478 of the AWS Encryption SDK. */
export const SUITE = new NodeAlgorithmSuite(
  AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
);

/** What every sealed object begins with: message format 2 and the suite. */
const MAGIC = Buffer.from([2, SUITE.id >> 8, SUITE.id & 0xff]);

/** Ours are about 1 KiB; this has room for more recipients and bounds what a hostile header makes us hold. */
const MAX_HEADER_BYTES = 64 * 1024;
const MAX_RECIPIENTS = 16;
const MAX_FRAME_BYTES = 1024 * 1024;

/** The key of one object's frames, derived from its data key; `dispose` forgets the data key. */
export interface FrameKey<Cipher> {
  readonly messageId: Uint8Array;
  readonly frameLength: number;
  readonly cipher: Cipher;
  dispose(): void;
}

/** The header's bytes with their authentication tag, and the key for the frames after it. */
export function sealHeader(
  material: NodeEncryptionMaterial,
  frameLength: number,
): { bytes: Buffer; key: FrameKey<GetCipher> } {
  const { getCipherInfo, dispose } = getEncryptHelper(material);
  const messageId = new Uint8Array(randomBytes(MessageIdLength.V2));
  const { getCipher, keyCommitment } = getCipherInfo(messageId);
  const { encryptionContext, encryptedDataKeys } = material;
  const header = serializeMessageHeader(
    buildMessageHeader({
      suite: SUITE,
      encryptionContext,
      encryptedDataKeys,
      messageId,
      frameLength,
      suiteData: keyCommitment,
    }),
  );
  const cipher = getCipher(headerAuthIv(SUITE.ivLength)).setAAD(Buffer.from(header));
  cipher.final();
  const bytes = Buffer.concat([header, cipher.getAuthTag()]);
  return { bytes, key: { messageId, frameLength, cipher: getCipher, dispose } };
}

/** A header as it was read: well-formed, and not yet authenticated. */
export interface ReadHeader {
  readonly context: Readonly<Record<string, string>>;
  readonly dataKeys: readonly EncryptedDataKey[];
  readonly info: HeaderInfo;
}

/** Takes the header off a sealed object. Rejects with `encryption.plaintext`, `.truncated` or `.corrupt`. */
export async function readHeader(reader: ByteReader, object: string): Promise<ReadHeader> {
  const begin = await reader.peek(MAGIC.length);
  if (!begin.equals(MAGIC.subarray(0, begin.length))) throw notSealed(object);

  for (let length = 1024; length <= MAX_HEADER_BYTES; length *= 2) {
    const bytes = await reader.peek(length);
    const info = parseHeader(bytes, object);
    if (info !== undefined) {
      await reader.take(info.headerLength + info.headerAuth.headerAuthLength);
      const { encryptionContext, encryptedDataKeys } = info.messageHeader;
      return { context: encryptionContext, dataKeys: encryptedDataKeys, info };
    }
    if (bytes.length < length) throw truncated(object, `in its header, at byte ${bytes.length}`);
  }
  throw corrupt(object, `its header announces more than ${MAX_HEADER_BYTES} bytes`);
}

/**
 * Authenticates the header with the data key that was unwrapped from it, and gives the key of the frames. Refuses a
 * data key that the header is not committed to, so that no two keys open one object to different plaintexts.
 */
export function openHeader(
  header: ReadHeader,
  material: NodeDecryptionMaterial,
  object: string,
): FrameKey<GetDecipher> {
  const { messageHeader, rawHeader, headerAuth } = header.info;
  const { messageId, frameLength } = messageHeader;
  const { getDecipherInfo, dispose } = getDecryptionHelper(material);
  try {
    const commitment = 'suiteData' in messageHeader ? messageHeader.suiteData : undefined;
    const getDecipher = getDecipherInfo(messageId, commitment);
    getDecipher(headerAuth.headerIv)
      .setAAD(Buffer.from(rawHeader))
      .setAuthTag(Buffer.from(headerAuth.headerAuthTag))
      .final();
    return { messageId, frameLength, cipher: getDecipher, dispose };
  } catch (error) {
    dispose();
    throw corrupt(object, 'its header fails authentication', error);
  }
}

const { serializeMessageHeader, buildMessageHeader, headerAuthIv } = serializeFactory(
  (text: string) => Buffer.from(text, 'utf8'),
  { utf8Sorting: true },
);

const { deserializeMessageHeader } = deserializeFactory(
  (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  NodeAlgorithmSuite,
);

/** Undefined while bytes are missing. */
function parseHeader(bytes: Buffer, object: string): HeaderInfo | undefined {
  let info: HeaderInfo | false;
  try {
    info = deserializeMessageHeader(bytes, { maxEncryptedDataKeys: MAX_RECIPIENTS });
  } catch (error) {
    throw corrupt(object, `its header is malformed: ${reasonOf(error)}`, error);
  }
  if (info === false) return undefined;
  const { contentType, frameLength } = info.messageHeader;
  if (contentType !== ContentType.FRAMED_DATA) throw corrupt(object, 'its body is not made of frames');
  if (frameLength < 1 || frameLength > MAX_FRAME_BYTES) {
    throw corrupt(
      object,
      `its frames are said to have ${frameLength} bytes, at most ${MAX_FRAME_BYTES} are allowed`,
    );
  }
  return info;
}
