import path from 'node:path';
import type { DrillFolder } from './drill-folder.ts';

/** Where an etcd that runs in the folder has a socket of this name; undefined: the path is too long for one. */
export function socketIn(folder: Pick<DrillFolder, 'path'>, name: string): string | undefined {
  const socketPath = path.join(folder.path, name);
  return Buffer.byteLength(socketPath) > LONGEST_SOCKET_PATH ? undefined : socketPath;
}

/** Of `sun_path`, without the zero at its end; see unix(7). */
const LONGEST_SOCKET_PATH = 107;

/** `--quota-backend-bytes` for an etcd on a database of so many bytes. */
export function quotaFor(databaseBytes: number): number {
  return Math.max(LEAST_QUOTA, 2 * databaseBytes);
}

/** Bytes of memory that it should get by with, beside the mapped database. */
export function memoryFor(databaseBytes: number): number {
  return LEAST_MEMORY + databaseBytes / 2;
}

const LEAST_QUOTA = 8 * 2 ** 30;
const LEAST_MEMORY = 512 * 2 ** 20;
