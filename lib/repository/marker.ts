import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { GuardianError, hasCode } from '../guardian-error.ts';
import { damagedDocument, FORMAT_VERSION, newerFormat, readSmallObject } from './document.ts';
import { MARKER } from './layout.ts';
import type { RepositorySettings } from './repository.ts';

/** The marker's bytes: always the same ones, so that a changed byte is seen although nothing signs them. */
const CONTENT = Buffer.from(`{"format":"etcdguardian","formatVersion":${FORMAT_VERSION}}\n`);

/**
 * Resolves to whether the store holds a repository. Rejects with `repository.format` when a newer program made it, and
 * with `repository.damaged`.
 */
export async function checkMarker(
  { store }: RepositorySettings,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let found: Buffer;
  try {
    found = await readSmallObject(store, MARKER, signal);
  } catch (error) {
    if (hasCode(error, 'store.not-found')) return false;
    throw error;
  }
  if (found.equals(CONTENT)) return true;
  const version = versionIn(found);
  if (version !== undefined && version > FORMAT_VERSION)
    throw newerFormat(`${store.location}: ${MARKER}`, version);
  throw damagedDocument(`${store.location}: ${MARKER}`, 'it is not what this format version has there');
}

/** Makes the store a repository if it isn't one. Rejects with `repository.foreign` where Velero keeps its things. */
export async function ensureMarker(
  settings: RepositorySettings,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (await checkMarker(settings, signal)) return;
  const { store } = settings;
  for (const folder of VELERO_FOLDERS) {
    for await (const { name } of store.list(folder, { signal })) {
      throw new GuardianError(
        'repository.foreign',
        `${store.location} holds ${name}, which looks like Velero's`,
        {
          hint: 'Velero takes its location for invalid when others write into it: use another prefix or bucket.',
        },
      );
    }
  }
  try {
    await store.putIfAbsent(MARKER, CONTENT, { signal });
  } catch (error) {
    if (!hasCode(error, 'store.exists')) throw error;
    await checkMarker(settings, signal);
  }
}

const VELERO_FOLDERS = ['backups/', 'kopia/', 'metadata/', 'restic/', 'restores/'];

function versionIn(bytes: Buffer): number | undefined {
  try {
    return z.object({ formatVersion: z.int() }).parse(JSON.parse(bytes.toString())).formatVersion;
  } catch {
    return undefined;
  }
}
