import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from '../../lib/etcd/durable-file.ts';
import { GuardianError, reasonOf } from '../../lib/guardian-error.ts';
import { makeFolders } from '../../lib/make-folders.ts';

/** The file's text, or undefined where there is none. Rejects with `agent.state`. */
export async function readState(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw stateError(`can't read ${path}`, error);
  }
}

/**
 * Writes a file (mode 0600) that survives a power failure: whole and new, or as it was. Rejects with `agent.state`, which
 * is worth another try: a full disk may be emptied.
 */
export async function writeState(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  const part = join(folder, `.${basename(path)}.part`);
  try {
    await makeFolders(folder, 0o700);
    await rm(part, { force: true });
    const file = await open(part, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    throw stateError(`can't write ${path}`, error);
  }
}

export function stateError(what: string, cause: unknown): GuardianError {
  return new GuardianError('agent.state', `${what}: ${reasonOf(cause)}`, {
    hint: "The agent's state dir must be on a writable disk of the node with room in it, and belong to its user.",
    retryable: true,
    cause,
  });
}
