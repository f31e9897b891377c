import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { openEphemeralFile } from '../../encryption/ephemeral-file.ts';
import { reasonOf } from '../../guardian-error.ts';
import { TOOL } from '../../program-version.ts';
import { rememberBackup } from '../../repository/freshness.ts';
import { openRepository } from '../../repository/open-repository.ts';
import type { Repository, SoundBackup } from '../../repository/repository.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { openStore } from '../../storage/open-store.ts';
import { storeAccess, type StorageLocation, type StoreSecret } from '../../storage/store-access.ts';
import { storeIdentity } from '../../storage/store-identity.ts';
import { spoolingStore } from '../spooling-store.ts';
import { type KeyMaterial, taskKeys } from './task-keys.ts';

/** Where backups lie, with what opens it and them. */
export interface RepositoryAccess {
  readonly location: StorageLocation;
  readonly secret: StoreSecret;
  readonly keys: KeyMaterial;
}

/** What a slow store may make us hold. */
export interface SpoolSettings {
  /** For what doesn't fit into memory, encrypted. */
  readonly folder: string;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export interface RepositoryTools {
  readonly clock: Clock;
  readonly spool: SpoolSettings;
  /** Where this machine notes which backups it has seen; undefined: nowhere. */
  readonly knownPoints: string | undefined;
  /** What a person should know though work goes on. */
  readonly onWarning: (message: string) => void;
  readonly signal: AbortSignal;
}

export interface TaskRepository {
  readonly repository: Repository;
  /** The store that it is in. */
  readonly store: ObjectStore;
  /** Notes that this machine has seen a backup; where it can't, it warns. */
  readonly remember: (backup: SoundBackup) => Promise<void>;
}

/** Opens what a custom resource names. Rejects with the errors of `storeAccess`, `taskKeys` and `openRepository`. */
export async function openTaskRepository(
  { location, secret, keys }: RepositoryAccess,
  { clock, spool, knownPoints, onWarning, signal }: RepositoryTools,
): Promise<TaskRepository> {
  const settings = storeAccess(location, secret);
  const { encryption, signer, verifier } = await taskKeys(keys);
  const store = await openStore(settings, {
    clock,
    onRetry: ({ error }) => {
      onWarning(`${reasonOf(error)}; trying again`);
    },
  });
  const spooling = spoolingStore(store, {
    memoryBytes: spool.memoryBytes,
    spillBytes: spool.diskBytes,
    spillFileBytes: SPILL_FILE_BYTES,
    openSpill: () => openEphemeralFile(spool.folder),
    onSpillFull: (reason) => {
      onWarning(
        `no more spool on disk in ${spool.folder} (${reasonOf(reason)}); etcd now waits for the store`,
      );
    },
  });
  const repository = await openRepository(
    { store: spooling, encryption, signer, verifier, clock, randomBytes, tool: TOOL },
    { signal },
  );
  const identity = storeIdentity(store.location, settings);
  return {
    repository,
    store,
    remember: async (backup) => {
      if (knownPoints === undefined) return;
      try {
        await rememberBackup(repository, backup, { path: knownPoints, identity });
      } catch (error) {
        onWarning(`${reasonOf(error)}; a store that later lacks this backup is not noticed here`);
      }
    },
  };
}

const SPILL_FILE_BYTES = 256 * 1024 * 1024;
