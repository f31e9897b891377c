import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from './harness/temporary-folder.ts';

const root = join(import.meta.dirname, '..');

/** What dependency-cruiser says, by the rules of imports.cjs, of a project that consists of these files. */
async function judge(files: Record<string, string>): Promise<string> {
  await using folder = await temporaryFolder();
  for (const file of ['imports.cjs', 'tsconfig.json', 'package.json']) {
    await cp(join(root, file), folder.join(file));
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(folder.join(name)), { recursive: true });
    await writeFile(folder.join(name), text);
  }
  const cruiser = join(root, 'node_modules', '.bin', 'depcruise');
  const args = [cruiser, '--config', 'imports.cjs', '--output-type', 'err', '.'];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder.path, encoding: 'utf8' });
  return stdout + stderr;
}

const ANYTHING = 'export const it = 1;\n';
const importing = (path: string): string => `export { it } from '${path}';\n`;

const refused: { what: string; files: Record<string, string>; rule: RegExp }[] = [
  {
    what: 'etcd that knows stores',
    files: { 'lib/etcd/a.ts': importing('../storage/b.ts'), 'lib/storage/b.ts': ANYTHING },
    rule: /lib\/etcd imports only its own: lib\/etcd\/a\.ts → lib\/storage\/b\.ts/,
  },
  {
    what: 'a library that imports a process',
    files: { 'lib/backup/a.ts': importing('../../cli/b.ts'), 'cli/b.ts': ANYTHING },
    rule: /lib\/backup imports only .*: lib\/backup\/a\.ts → cli\/b\.ts/,
  },
  {
    what: 'product code that uses the test harness',
    files: { 'lib/etcd/a.ts': importing('../../test/harness/b.ts'), 'test/harness/b.ts': ANYTHING },
    rule: /lib\/etcd\/a\.ts → test\/harness\/b\.ts/,
  },
  {
    what: 'an agent that reaches the Kubernetes API by a detour',
    files: {
      'agent/a.ts': importing('../lib/backup/b.ts'),
      'lib/backup/b.ts': importing('../kubernetes/c.ts'),
      'lib/kubernetes/c.ts': ANYTHING,
    },
    rule: /the agent never reaches the Kubernetes client: agent\/a\.ts → lib\/kubernetes\/c\.ts/,
  },
  {
    what: 'foundations that import a room',
    files: { 'lib/clock.ts': importing('./etcd/a.ts'), 'lib/etcd/a.ts': ANYTHING },
    rule: /foundations import nothing: lib\/clock\.ts → lib\/etcd\/a\.ts/,
  },
  {
    what: 'a package outside the rooms that it is for',
    files: {
      'lib/etcd/a.ts': importing('commander'),
      'node_modules/commander/package.json': '{"name":"commander","main":"index.js"}',
      'node_modules/commander/index.js': 'exports.it = 1;',
    },
    rule: /commander is for cli: lib\/etcd\/a\.ts → node_modules\/commander/,
  },
  {
    what: 'product code that uses a development package',
    files: {
      'lib/etcd/a.ts': importing('prettier'),
      'node_modules/prettier/package.json': '{"name":"prettier","main":"index.js"}',
      'node_modules/prettier/index.js': 'exports.it = 1;',
    },
    rule: /the product runs without development packages: lib\/etcd\/a\.ts → node_modules\/prettier/,
  },
  {
    what: 'a cycle',
    files: { 'lib/etcd/a.ts': importing('./b.ts'), 'lib/etcd/b.ts': importing('./a.ts') },
    rule: /no cycles: lib\/etcd\/a\.ts/,
  },
  {
    what: 'an import of a test',
    files: { 'lib/etcd/a.ts': importing('./b.test.ts'), 'lib/etcd/b.test.ts': ANYTHING },
    rule: /nobody imports a test: lib\/etcd\/a\.ts/,
  },
  {
    what: 'an import that leads nowhere',
    files: { 'lib/etcd/a.ts': importing('./missing.ts') },
    rule: /every import leads somewhere: lib\/etcd\/a\.ts → \.\/missing\.ts/,
  },
];

for (const { what, files, rule } of refused) {
  test(`${what} is refused`, async () => {
    assert.match(await judge(files), rule);
  });
}

test('what the map allows passes', async () => {
  const verdict = await judge({
    'cli/a.ts': importing('../lib/backup/b.ts'),
    'lib/backup/b.ts': importing('../repository/c.ts'),
    'lib/repository/c.ts': importing('../storage/d.ts'),
    'lib/storage/d.ts': importing('../clock.ts'),
    'lib/clock.ts': ANYTHING,
    'lib/storage/d.test.ts': importing('../../test/harness/e.ts'),
    'test/harness/e.ts': ANYTHING,
  });
  assert.match(verdict, /no dependency violations found/);
});
