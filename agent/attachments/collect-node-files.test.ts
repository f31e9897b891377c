import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { chunksOf } from '../../test/harness/byte-stream.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { NODE_FILES_LIMITS, type NodeFiles } from '../../lib/repository/node-files/node-files.ts';
import { readNodeFiles } from '../../lib/repository/node-files/read-node-files.ts';
import { type AttachmentSettings, nodeAttachments } from './node-attachments.ts';
import { collectNodeFiles, type CollectLimits } from './collect-node-files.ts';

/** As kubeadm lays a node out, with what may lie about there. */
async function madeNode(folder: TemporaryFolder): Promise<string> {
  const kubernetes = folder.join('kubernetes');
  await mkdir(`${kubernetes}/pki/etcd`, { recursive: true });
  await mkdir(`${kubernetes}/manifests`);
  await mkdir(`${kubernetes}/tmp/kubeadm-backup-etcd`, { recursive: true });
  await mkdir(folder.join('elsewhere'));
  await writeFile(`${kubernetes}/pki/ca.key`, 'the key of the cluster', { mode: 0o600 });
  await writeFile(`${kubernetes}/pki/etcd/ca.crt`, 'a certificate');
  await writeFile(`${kubernetes}/admin.conf`, 'a kubeconfig', { mode: 0o640 });
  await chmod(`${kubernetes}/pki`, 0o700);
  await writeFile(`${kubernetes}/tmp/kubeadm-backup-etcd/db`, 'a database');
  await writeFile(folder.join('elsewhere', 'encryption.yaml'), 'kind: EncryptionConfiguration');
  await writeFile(
    `${kubernetes}/manifests/kube-apiserver.yaml`,
    JSON.stringify({
      kind: 'Pod',
      metadata: { name: 'kube-apiserver' },
      spec: {
        containers: [
          {
            name: 'kube-apiserver',
            command: ['kube-apiserver', '--encryption-provider-config=/enc/encryption.yaml', '--v=2'],
            volumeMounts: [{ name: 'enc', mountPath: '/enc' }],
          },
        ],
        volumes: [{ name: 'enc', hostPath: { path: folder.join('elsewhere') } }],
      },
    }),
  );
  return kubernetes;
}

test('what a node needs is read with modes and owners, and what lies about is not', async () => {
  await using folder = await temporaryFolder();
  const root = await madeNode(folder);
  if (process.geteuid?.() === 0) await chown(`${root}/pki/ca.key`, 4321, 1234);
  const { files, leftOut } = await collectNodeFiles([root]);
  assert.deepEqual(leftOut, []);
  assert.deepEqual(
    files.map(({ path, kind, mode }) => `${path.slice(root.length)} ${kind} ${mode.toString(8)}`),
    [
      ' folder 755',
      '/manifests folder 755',
      '/manifests/kube-apiserver.yaml file 644',
      '/pki folder 700',
      '/pki/ca.key file 600',
      '/pki/etcd folder 755',
      '/pki/etcd/ca.crt file 644',
      '/admin.conf file 640',
    ],
  );
  const key = files.find(({ path }) => path.endsWith('ca.key'));
  assert.ok(key?.kind === 'file');
  assert.equal(Buffer.from(key.bytes).toString(), 'the key of the cluster');
  if (process.geteuid?.() === 0) assert.deepEqual([key.uid, key.gid], [4321, 1234]);
});

test('links stay links within, and are followed to files outside', async () => {
  await using folder = await temporaryFolder();
  const root = await madeNode(folder);
  await symlink('pki/ca.key', `${root}/inside`);
  await symlink('pki', `${root}/folder`);
  await symlink(folder.join('elsewhere', 'encryption.yaml'), `${root}/outside`);
  await symlink('../elsewhere', `${root}/a-folder-outside`);
  await symlink('nowhere', `${root}/dangling`);
  await symlink('loop', `${root}/loop`);
  const { files, leftOut } = await collectNodeFiles([root]);
  const kinds = new Map(files.map((file) => [file.path.slice(root.length + 1), file]));
  const [inside, within] = [kinds.get('inside'), kinds.get('folder')];
  assert.equal(inside?.kind === 'link' && inside.target, 'pki/ca.key');
  assert.equal(within?.kind === 'link' && within.target, 'pki');
  const outside = kinds.get('outside');
  assert.equal(
    outside?.kind === 'file' && Buffer.from(outside.bytes).toString(),
    'kind: EncryptionConfiguration',
  );
  assert.deepEqual(leftOut.map(({ path }) => path.slice(root.length + 1)).sort(), [
    'a-folder-outside',
    'dangling',
  ]);
  const loop = kinds.get('loop');
  assert.equal(loop?.kind, 'link');
});

test('pipes, sockets and what is missing are left out, and nobody waits for them', async () => {
  await using folder = await temporaryFolder();
  const root = await madeNode(folder);
  execFileSync('mkfifo', [`${root}/pipe`]);
  const server = createServer().listen(`${root}/socket`);
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const { files, leftOut } = await collectNodeFiles([root, folder.join('missing')]);
    assert.deepEqual(
      leftOut.map(({ path }) => path.slice(folder.path.length)),
      ['/kubernetes/pipe', '/kubernetes/socket', '/missing'],
    );
    assert.ok(files.some(({ path }) => path.endsWith('admin.conf')));
  } finally {
    server.close();
  }
});

test('limits hold, and what matters most is taken before they are reached', async () => {
  await using folder = await temporaryFolder();
  const root = await madeNode(folder);
  await writeFile(`${root}/Large`, Buffer.alloc(2000));
  const named = async (limits: Partial<CollectLimits>): Promise<string[]> => {
    const { leftOut } = await collectNodeFiles([root], { ...NODE_FILES_LIMITS, ...limits });
    return leftOut.map(({ path }) => path.slice(root.length + 1));
  };
  assert.deepEqual(await named({ fileBytes: 1999 }), ['Large']);
  assert.deepEqual(await named({ totalBytes: 1999 }), ['Large']);
  assert.deepEqual(await named({ entries: 7 }), ['Large', 'admin.conf']);
});

const settingsOf = (folder: TemporaryFolder, over: Partial<AttachmentSettings> = {}): AttachmentSettings => ({
  node: 'cp-1',
  attachments: true,
  attachmentPaths: [folder.join('kubernetes')],
  manifestsDir: folder.join('kubernetes/manifests'),
  unitDirs: [folder.join('units')],
  etcdUnit: 'etcd.service',
  ...over,
});

test("what the API server's manifest points to goes along, wherever it lies on the node", async () => {
  await using folder = await temporaryFolder();
  await madeNode(folder);
  const source = nodeAttachments(settingsOf(folder), () => new Date());
  const { attachments, leftOut } = (await source?.(undefined)) ?? { attachments: [] };
  assert.equal(leftOut, undefined);
  assert.deepEqual(
    attachments.map(({ name }) => name),
    ['node.cp-1.tar'],
  );
  const read: NodeFiles = await readNodeFiles(
    chunksOf(Buffer.concat([...(attachments[0]?.plain() ?? [])]), 999),
  );
  assert.equal(read.node, 'cp-1');
  assert.equal(read.manifests, folder.join('kubernetes/manifests'));
  assert.deepEqual(read.roots, [folder.join('kubernetes'), folder.join('elsewhere/encryption.yaml')]);
  assert.ok(read.files.some(({ path }) => path === folder.join('elsewhere/encryption.yaml')));
});

test('without consent nothing is taken along, and nothing there is said', async () => {
  await using folder = await temporaryFolder();
  assert.equal(
    nodeAttachments(settingsOf(folder, { attachments: false }), () => new Date()),
    undefined,
  );
  const nothing = await nodeAttachments(settingsOf(folder), () => new Date())?.(undefined);
  assert.equal(nothing?.attachments.length, 0);
  assert.match(nothing.leftOut ?? '', /kubernetes: ENOENT/);
});
