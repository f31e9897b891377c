/** What an object is bound to: it opens only under the very name it was sealed for. */
export interface ObjectContext {
  readonly cluster: string;
  readonly timeline: string;
  /** The object's full name in the repository. */
  readonly object: string;
}

/** One way to unwrap an object's data key, as a person should see it. */
export interface Recipient {
  /** Stable id, e.g. `aes:3f9c…` or `recovery:77ab…`: shows which key is needed without giving it away. */
  readonly id: string;
  readonly kind: 'aes-256' | 'recovery-rsa' | 'kms' | 'vault';
}

export interface EncryptionCallOptions {
  /** Looked at between chunks; a wait inside the source is the source's to end. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Envelope encryption of objects: a fresh data key each, wrapped to every recipient. Memory stays at a few frames
 * whatever the length; nothing is read ahead of the consumer. Errors of the source come through as they are.
 *
 * `seal` rejects with `encryption.read-only` when no key of ours may write. Chunks of `plaintext` must not be changed
 * once they were given.
 *
 * `open` rejects with a `GuardianError`: `encryption.key-missing` (no key of ours is a recipient; names who is),
 * `encryption.plaintext` (not a sealed object although a key is configured), `encryption.context` (sealed for another
 * name: swapped or replayed), `encryption.truncated`, `encryption.corrupt` (a frame fails authentication). No
 * plaintext of a frame is yielded before that frame is authenticated; a consumer must not act on what it got before
 * the iteration ended without error.
 */
export interface ObjectEncryption {
  /** Whom new objects are sealed for; empty when these keys only open. */
  readonly recipients: readonly Recipient[];
  seal(
    plaintext: AsyncIterable<Uint8Array>,
    context: ObjectContext,
    options?: EncryptionCallOptions,
  ): AsyncIterable<Uint8Array>;
  open(
    sealed: AsyncIterable<Uint8Array>,
    context: ObjectContext,
    options?: EncryptionCallOptions,
  ): AsyncIterable<Uint8Array>;
}

/** Signs what commits a backup. Ed25519 (RFC 8032) over exactly the bytes given. */
export interface Signer {
  /** Id of the public key: `ed25519:` and the first 16 hex digits of SHA-256 of its SPKI DER. */
  readonly keyId: string;
  sign(message: Uint8Array): Uint8Array;
}

/** The public keys that are trusted, pinned outside the store. */
export interface SignatureVerifier {
  readonly keyIds: readonly string[];
  /** Rejects nothing; true only if a trusted key of that id made this signature over these bytes. */
  verify(message: Uint8Array, keyId: string, signature: Uint8Array): boolean;
}
