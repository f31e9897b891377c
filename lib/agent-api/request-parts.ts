import { z } from 'zod';
import { bytes, flag, maybe, text, texts, wide } from './fields.ts';

/** Names the work that a call is about, and the right to do it; see agent.proto. */
export const fence = z.object({ operation: text, term: wide });
export type Fence = z.output<typeof fence>;

/** Where backups lie, with what opens it. */
export const store = z.object({
  provider: text,
  bucket: text,
  prefix: text,
  region: text,
  endpoint: text,
  credentials: z.record(z.string(), z.string()),
  ca: text,
  publicAddressesOnly: flag,
  allowedAddresses: texts,
});
export type Store = z.output<typeof store>;

/** What encrypts and signs. */
export const keys = z.object({ encryption: bytes, encryptionFrom: text, signing: bytes });
export type Keys = z.output<typeof keys>;

export const requester = z.object({ username: text, uid: text, groups: texts });
export type Requester = z.output<typeof requester>;

/** A point in a cluster's history. */
export const restorePoint = z.object({ timeline: text, chain: text, revision: wide });
export type RestorePoint = z.output<typeof restorePoint>;

/** What every request for long work has. */
export const workOn = { fence: maybe(fence), store: maybe(store), keys: maybe(keys), cluster: text };

/** What is wrong, for people and machines; see `GuardianError`. */
export const problem = z.object({ code: text, message: text, hint: text, retryable: flag });
export type Problem = z.output<typeof problem>;
