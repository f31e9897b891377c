import { Buffer } from 'node:buffer';

/** Fresh random bytes; passed in, so that tests know them. */
export type RandomBytes = (size: number) => Uint8Array;

/**
 * The id of a backup and its chain: `20261122T053000Z-9f3ac1d0`, UTC and 32 random bits, so that ids sort by time, two
 * writers in one second differ, and a person can read and type them.
 */
export function newBackupId(now: Date, randomBytes: RandomBytes): string {
  const time = now.toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  return `${time}-${Buffer.from(randomBytes(4)).toString('hex')}`;
}

export function isBackupId(text: string): boolean {
  return ID.test(text) && !Number.isNaN(timeOfBackupId(text).getTime());
}

/** When the id was made, to the second. Invalid for what is not an id. */
export function timeOfBackupId(id: string): Date {
  const [, year, month, day, hour, minute, second] = ID.exec(id) ?? [];
  return new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const ID = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z-[0-9a-f]{8}$/;
