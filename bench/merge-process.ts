import { randomBytes } from 'node:crypto';
import { systemClock } from '../lib/clock.ts';
import type { StoredSegment } from '../lib/repository/chain.ts';
import { openRepository } from '../lib/repository/open-repository.ts';
import type { Repository } from '../lib/repository/repository.ts';
import { writeRestorePoint } from '../lib/repository/write-restore-point.ts';
import { LocalStore } from '../lib/storage/local-store.ts';
import { testKeys } from '../test/harness/repository.ts';

/** The repository that the merge is benchmarked on: local, sealed, signed. */
export async function benchRepository(folder: string): Promise<Repository> {
  const settings = { clock: systemClock, randomBytes, tool: 'etcdguardian bench', ...testKeys() };
  return openRepository({ store: new LocalStore(folder), ...settings });
}

/** A process that does nothing but merge: the newest backup of the store in `folder` and some segments behind it. */
async function main(folder: string, target: string, most: number): Promise<void> {
  const repository = await benchRepository(folder);
  const { backup } = await repository.find('prod', 'latest');
  const segments: StoredSegment[] = [];
  for await (const listed of repository.segments.list(backup)) {
    if (listed.state === 'broken') throw listed.problem;
    if (segments.length < most) segments.push(listed);
  }
  const revision = segments.at(-1)?.head.to ?? backup.manifest.snapshot.currentRevision;
  await writeRestorePoint(
    { repository, log: repository.segments },
    { base: backup, segments, revision },
    target,
  );
}

if (import.meta.main) {
  const [folder = '', target = '', most = ''] = process.argv.slice(2);
  await main(folder, target, Number(most));
}
