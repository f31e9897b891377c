import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { fillWithHistory } from '../../../test/harness/etcd-content.ts';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { sample, testRandom, WHOLE_MATRIX } from '../../../test/harness/sampling.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { ETCD_VERSIONS, type EtcdVersion, needs, requireTool } from '../../../test/harness/tools.ts';
import { createSnapshotVerifier } from './snapshot-verifier.ts';

const [version = '3.6.16'] = sample(ETCD_VERSIONS, 1, 'version of damage');
const [judge = '3.7.3'] = sample(['3.5.35', '3.6.16', '3.7.3'] as const, 1, 'judge of damage');
const PROGRAMS = [`etcd ${version}`, `etcdctl ${version}`, `etcdutl ${judge}`];

async function savedFile(path: string, rounds: number): Promise<Buffer> {
  await using etcd = await startEtcd({ version });
  if (rounds > 0) await fillWithHistory(etcd, testRandom('damage'), rounds);
  await etcd.etcdctl('snapshot', 'save', path);
  return await readFile(path);
}

function isSound(file: Buffer, trailer: 'required' | 'optional'): boolean {
  const verifier = createSnapshotVerifier({ trailer });
  verifier.write(file);
  return verifier.finish().sound;
}

/** What etcd's own tool says; a crash or an endless loop of it counts as a refusal. */
async function etcdAccepts(program: EtcdVersion, path: string): Promise<boolean> {
  // Seconds of processor time: a loaded machine is no endless loop.
  const limited = ['-c', 'ulimit -t 20 && exec "$0" snapshot status "$1"', requireTool('etcdutl', program)];
  const run = promisify(execFile)('sh', [...limited, path]);
  return run.then(
    () => true,
    () => false,
  );
}

/** Half of the time in a page's header or elements, where damage to a structure is. */
function somewhere(random: SeededRandom, size: number): number {
  const at = random.integer(0, size);
  return random.integer(0, 2) === 0 ? at : Math.min(size - 1, (at & ~4095) + random.integer(0, 160));
}

test(
  `every single flipped byte of a fresh snapshot of ${version} is detected`,
  needs(...PROGRAMS),
  async () => {
    await using folder = await temporaryFolder();
    const file = await savedFile(folder.join('fresh.db'), 0);
    const random = testRandom('fresh');
    assert.ok(isSound(file, 'required'));
    for (let at = 0; at < file.length; at++) {
      const before = file.readUInt8(at);
      file.writeUInt8(before ^ random.integer(1, 256), at);
      assert.ok(!isSound(file, 'required'), `offset ${at}`);
      file.writeUInt8(before, at);
    }
  },
);

test(`flips and cuts of a larger snapshot of ${version} are detected`, needs(...PROGRAMS), async () => {
  await using folder = await temporaryFolder();
  const file = await savedFile(folder.join('larger.db'), 60);
  const random = testRandom('larger');
  for (let n = 0; n < (WHOLE_MATRIX ? 2000 : 100); n++) {
    const at = somewhere(random, file.length);
    const before = file.readUInt8(at);
    file.writeUInt8(before ^ random.integer(1, 256), at);
    assert.ok(!isSound(file, 'required'), `offset ${at}`);
    file.writeUInt8(before, at);
  }
  const pages = sample([...Array(Math.floor(file.length / 4096)).keys()], 40, 'cuts');
  for (const length of [
    ...pages.map((page) => page * 4096),
    ...pages.map(() => random.integer(0, file.length)),
  ]) {
    assert.ok(!isSound(file.subarray(0, length), 'required'), `cut at ${length}`);
  }
});

test(
  `what snapshot status of ${judge} refuses is refused without a trailer too`,
  needs(...PROGRAMS),
  async () => {
    await using folder = await temporaryFolder();
    const path = folder.join('judged.db');
    const random = testRandom('judged');
    const snapshot = await savedFile(path, 25);
    const file = snapshot.subarray(0, -32);
    let refused = 0;
    for (let n = 0; n < (WHOLE_MATRIX ? 3000 : 80); n++) {
      const at = somewhere(random, file.length);
      const before = file.readUInt8(at);
      file.writeUInt8(before ^ random.integer(1, 256), at);
      await writeFile(path, file);
      if (!(await etcdAccepts(judge, path))) {
        refused++;
        assert.ok(!isSound(file, 'optional'), `offset ${at}, ${before} became ${file.readUInt8(at)}`);
      }
      file.writeUInt8(before, at);
    }
    assert.ok(refused > 0);
  },
);
