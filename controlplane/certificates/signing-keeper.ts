import { GuardianError } from '../../lib/guardian-error.ts';
import { openSigningKeys, readSigningKeys, type SigningKeys, type SigningKeyTools } from './signing-key.ts';

/** The signing keys as this replica knows them. */
export interface SigningKeeper {
  /** For backups; rejects with `controlplane.signing-key`. */
  keyFile(): Promise<Uint8Array>;
  /** Reads, makes or puts back the Secret: see `openSigningKeys`. */
  open(
    publishedPem: string | undefined,
    signal: AbortSignal,
  ): Promise<SigningKeys & { readonly made?: 'created' | 'put-back' }>;
}

export function signingKeeper(tools: SigningKeyTools): SigningKeeper {
  let known: SigningKeys | undefined;
  return {
    async keyFile() {
      known ??= await readSigningKeys(tools);
      if (known !== undefined) return known.keyFile;
      throw new GuardianError('controlplane.signing-key', 'there are no keys to sign with yet', {
        hint: 'The leader makes them when it starts: look at its log.',
        retryable: true,
      });
    },
    async open(publishedPem, signal) {
      const opened = await openSigningKeys(tools, known, publishedPem, signal);
      known = opened;
      return opened;
    },
  };
}
