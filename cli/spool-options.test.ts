import assert from 'node:assert/strict';
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { diskFolder } from './spool-options.ts';

const SHM = '/dev/shm';

test(
  'the spool goes to a disk, not to memory that a folder for temporary files may be',
  {
    skip: !isTmpfs(SHM) || isTmpfs('/var/tmp'),
  },
  async () => {
    assert.equal(await diskFolder([SHM, '/var/tmp']), '/var/tmp');
  },
);

test('a folder that is missing is passed over; where there is no disk, the system’s choice stands', async () => {
  const onDisk = [import.meta.dirname, '/usr', '/'].find((folder) => !isTmpfs(folder));
  if (onDisk !== undefined) assert.equal(await diskFolder(['/nowhere', onDisk]), onDisk);
  assert.equal(await diskFolder(['/nowhere', ...(isTmpfs(SHM) ? [SHM] : [])]), tmpdir());
});

function isTmpfs(folder: string): boolean {
  try {
    return statfsSync(folder).type === 0x01021994;
  } catch {
    return false;
  }
}
