import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { LastDrill } from '../../lib/kubernetes/api/etcd-backup-status.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { at, backupNamed } from '../drill/drill-backups.fixture.ts';
import { restoreSource } from './restore-source.ts';

const READ: LastDrill = { result: 'Passed', time: at(2).toISOString(), kubeApiserverVersion: '1.36.3' };

/** Knows no EtcdBackup of that name, and these runs of a schedule; nothing else is asked for. */
function clientWith(runs: readonly EtcdBackup[]): KubeClient {
  const known = {
    get: () => Promise.reject(new GuardianError('kubernetes.not-found', 'no such thing')),
    list: () => Promise.resolve({ items: runs, metadata: {} }),
  };
  return known as unknown as KubeClient;
}

function restoreOf(backupName: string): EtcdRestore {
  return {
    ...{ apiVersion: 'etcdguardian.io/v1alpha1', kind: 'EtcdRestore' },
    metadata: { name: 'r', namespace: 'prod' },
    spec: {
      ...{ backupName, restoreMode: 'Full', quiesceCluster: true, conflictPolicy: 'Fail', dryRun: true },
      versionCompatibility: { check: true, allowMismatch: false },
    },
  };
}

test('of a schedule its newest completed run is restored, and a drill of any of them speaks for its keys', async () => {
  const runs = [
    backupNamed('drilled', { completed: 1, drill: READ }),
    backupNamed('newest', { completed: 9 }),
    backupNamed('running', { phase: 'Running' }),
  ];
  const source = await restoreSource(restoreOf('nightly'), clientWith(runs), new AbortController().signal);
  assert.deepEqual([source.backupName, source.drill?.backup], ['newest', 'drilled']);
});
