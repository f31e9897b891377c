import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../lib/guardian-error.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { judgeRestore } from '../restore/judge-restore.ts';
import { controlPlaneSettings } from '../settings.ts';
import type { JudgingTools } from '../judge-asked.ts';
import { judgeBackup } from './judge-backup.ts';

/** Who says to be an administrator. An API server believes what it is asked about. */
const FORGED = { username: 'alice', groups: ['system:masters'] };

function tools(admission: 'on' | 'off', asked: object[] = []): JudgingTools {
  const create = (_resource: unknown, _namespace: unknown, review: object): Promise<object> => {
    asked.push(review);
    return Promise.resolve({ status: { allowed: true } });
  };
  return {
    kube: { create } as unknown as KubeClient,
    namespace: 'etcd-guardian-system',
    settings: controlPlaneSettings({}, { admission }),
    audit: () => undefined,
  };
}

function backupIn(namespace: string): EtcdBackup {
  const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
  const spec = {
    storageLocation: { provider: 'S3', bucket: 'everybodys' },
    ...{ encryption: { enabled: false }, veleroIntegration: { enabled: false }, requestedBy: FORGED },
  };
  return { apiVersion, kind, metadata: { name: 'a', namespace, uid: 'u' }, spec } as unknown as EtcdBackup;
}

const signal = new AbortController().signal;

test('with admission off, a stamp that anybody may have written is not believed', async () => {
  const asked: object[] = [];
  const refused = (error: unknown): boolean => hasCode(error, 'controlplane.no-requester');
  await assert.rejects(judgeBackup(backupIn('team-a'), tools('off', asked), signal), refused);
  const restore = backupIn('team-a') as unknown as EtcdRestore;
  await assert.rejects(judgeRestore(restore, tools('off', asked), signal), refused);
  assert.deepEqual(asked, []);
});

test('with admission on, and in our own namespace, whom it names is judged', async () => {
  for (const [admission, namespace] of [
    ['on', 'team-a'],
    ['off', 'etcd-guardian-system'],
  ] as const) {
    const asked: object[] = [];
    const { refusal } = await judgeBackup(backupIn(namespace), tools(admission, asked), signal);
    assert.equal(refusal, undefined);
    assert.equal(asked.length, 1);
  }
});
