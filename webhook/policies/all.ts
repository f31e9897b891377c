import type { Policy } from '../policy.ts';
import { backup } from './backup.ts';
import { drills } from './drills.ts';
import { immutability } from './immutability.ts';
import { names } from './names.ts';
import { ownership } from './ownership.ts';
import { reservedNames } from './reserved-names.ts';
import { restore } from './restore.ts';
import { rights } from './rights.ts';
import { schedule } from './schedule.ts';
import { size } from './size.ts';
import { stamp } from './stamp.ts';
import { status } from './status.ts';
import { storageLocation } from './storage-location.ts';

/** Stage after stage: first those that need only the object, then those that ask the API server. */
export const POLICIES: readonly (readonly Policy[])[] = [
  [size],
  [status, names, immutability, storageLocation, backup, restore, schedule],
  [reservedNames, ownership, stamp, rights, drills],
];
