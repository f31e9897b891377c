import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repositorySettings, repositoryWithBackup, testKeys } from '../../test/harness/repository.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { LocalStore } from '../storage/local-store.ts';
import { attachmentOfNode } from './node-files/attachment-of-node.ts';
import type { NodeFile, NodeFiles } from './node-files/node-files.ts';
import { writeNodeFiles } from './node-files/write-node-files.ts';
import type { VerifyOptions, VerifyReport } from './repository.ts';
import { verifyBackup } from './verify-backup.ts';

const AT = new Date('2026-11-22T05:30:00.000Z');
const FACTS = { uid: 0, gid: 0, modifiedAt: AT };

function filesOf(node: string, more: readonly NodeFile[] = []): Buffer {
  const files: NodeFiles = {
    ...{ node, collectedAt: AT, tool: 'etcdguardian test', leftOut: [] },
    ...{ roots: ['/etc/kubernetes'], manifests: '/etc/kubernetes/manifests' },
    files: [
      { ...FACTS, kind: 'folder', path: '/etc/kubernetes', mode: 0o755 },
      { ...FACTS, kind: 'file', path: '/etc/kubernetes/sa.key', mode: 0o600, bytes: Buffer.from('secret') },
      ...more,
    ],
  };
  return Buffer.concat([...writeNodeFiles(files)]);
}

/** What a verification says of a backup that has these attachments. */
async function verified(
  attachments: Readonly<Record<string, Buffer>>,
  depth: VerifyOptions['depth'],
): Promise<VerifyReport> {
  await using folder = await temporaryFolder();
  const settings = repositorySettings(new LocalStore(folder.path), testKeys());
  const { backup } = await repositoryWithBackup(settings, { attachments });
  return await verifyBackup(settings, backup, { depth });
}

test("a node's files that can be laid out are sound, as is an attachment of another kind", async () => {
  const odd = 'a name / that is no file';
  const attachments = {
    [attachmentOfNode('cp-1')]: filesOf('cp-1'),
    [attachmentOfNode(odd)]: filesOf(odd),
    'notes.txt': Buffer.from('no archive'),
  };
  const { sound, problems } = await verified(attachments, 'deep');
  assert.deepEqual([sound, problems], [true, []]);
});

const X = { ...FACTS, path: '/etc/kubernetes/x', bytes: Buffer.from('x') };
const LINK: NodeFile = { ...X, kind: 'link', mode: 0o777, target: '../../root/.ssh' };
const SET_ID: NodeFile = { ...X, kind: 'file', mode: 0o4755 };
const OUTSIDE: NodeFile = { ...X, kind: 'file', mode: 0o600, path: '/etc/shadow' };

const UNSOUND: readonly (readonly [what: string, bytes: Buffer, code: string])[] = [
  ['no archive', Buffer.from('no archive'), 'attachments.damaged'],
  ['nothing', Buffer.alloc(0), 'attachments.damaged'],
  ['an archive that was cut off', filesOf('cp-1').subarray(0, -1024), 'attachments.damaged'],
  ['the files of another node', filesOf('cp-2'), 'attachments.damaged'],
  ['a link that leads outside', filesOf('cp-1', [LINK]), 'attachments.hostile'],
  ['a set-id program', filesOf('cp-1', [SET_ID]), 'attachments.hostile'],
  ['a file in none of its folders', filesOf('cp-1', [OUTSIDE]), 'attachments.hostile'],
];

for (const [what, bytes, code] of UNSOUND) {
  test(`an attachment that holds ${what} is found by a deep verification`, async () => {
    const attachments = { 'node.cp-1.tar': bytes };
    const { sound, problems } = await verified(attachments, 'deep');
    assert.deepEqual([sound, problems.map((problem) => problem.code)], [false, [code]]);
    assert.match(problems[0]?.object ?? '', /\/attachments\/node\.cp-1\.tar/);
    // As stored it is what the manifest says.
    assert.equal((await verified(attachments, 'stored')).sound, true);
  });
}
