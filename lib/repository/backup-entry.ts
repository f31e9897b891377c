import type { GuardianError } from '../guardian-error.ts';
import type { Manifest } from './manifest.ts';

/** Where a backup stands; names it. */
export interface BackupPlace {
  readonly cluster: string;
  readonly timeline: string;
  readonly id: string;
}

export type BackupEntry = SoundBackup | DamagedBackup;

export interface SoundBackup extends BackupPlace {
  readonly state: 'sound';
  readonly manifest: Manifest;
  /** Of the manifest's bytes as stored. */
  readonly manifestSha256: string;
  /** Set while it is removed. */
  readonly removal: Removal | undefined;
  /** The number of the last trusted mark of removing or undeleting it; 0: none. Never falls by itself. */
  readonly lastMark: number;
  /** What is suspicious without making the backup useless, e.g. a removal that nobody trusted signed. */
  readonly warnings: readonly GuardianError[];
}

export interface DamagedBackup extends BackupPlace {
  readonly state: 'damaged';
  readonly problem: GuardianError;
  readonly removal: Removal | undefined;
  readonly lastMark: number;
  readonly warnings: readonly GuardianError[];
}

export interface RemovalRequest {
  /** Who removes, for the record. */
  readonly by: string;
  readonly reason?: string | undefined;
}

export interface Removal {
  readonly removedAt: Date;
  readonly by: string;
  readonly reason: string | undefined;
  /** From then on a sweep deletes the data. */
  readonly deleteAfter: Date;
  /** True once a sweep has begun to delete: no way back. */
  readonly swept: boolean;
  /** The number of the last mark that says so. */
  readonly mark: number;
}
