import { randomBytes } from 'node:crypto';
import { rename, rm, rmdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { diskError } from '../durable-file.ts';
import { STAGED } from './staged-member-dir.ts';
import { WAL_FILE_NAME } from './wal.ts';

/**
 * Takes a data dir back that `writeMemberDir` has just made. `member` loses its name first, in one step, so that no
 * etcd starts on it whatever happens then; of a separate WAL dir only the log made with it goes. Folders that are
 * empty then go too, others stay. Rejects, naming the dir, when something can't be removed.
 */
export async function withdrawMemberDir(dataDir: string, walDir: string | undefined): Promise<void> {
  const root = resolve(dataDir);
  const withdrawn = join(root, `${STAGED}${randomBytes(6).toString('hex')}`);
  try {
    await rename(join(root, 'member'), withdrawn);
    if (walDir !== undefined) await rm(join(resolve(walDir), WAL_FILE_NAME), { force: true });
    await rm(withdrawn, { recursive: true, force: true });
  } catch (error) {
    throw diskError(error, `taking back the data dir ${root}`);
  }
  for (const folder of [...(walDir === undefined ? [] : [resolve(walDir)]), root]) {
    await rmdir(folder).catch(() => undefined);
  }
}
