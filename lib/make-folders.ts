import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it that are missing; resolves to what it made, topmost first. Rejects with the
 * system's error. Node's own recursive `mkdir` never ends where the system says that the parent is missing although it
 * is there, as below /proc.
 */
export async function makeFolders(path: string, mode: number): Promise<string[]> {
  const missing: string[] = [];
  let at = resolve(path);
  while (!(await isFolder(at)) && at !== dirname(at)) {
    missing.unshift(at);
    at = dirname(at);
  }
  const made: string[] = [];
  for (const folder of missing) {
    try {
      await mkdir(folder, mode);
      made.push(folder);
    } catch (error) {
      // Another process was first.
      if (errnoOf(error) !== 'EEXIST' || !(await isFolder(folder))) throw error;
    }
  }
  return made;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

function errnoOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
