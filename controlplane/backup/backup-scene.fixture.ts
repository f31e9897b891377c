import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DEADLINE_MS, eventually } from '../../test/harness/eventually.ts';
import { type Etcd, startEtcd } from '../../test/harness/etcd.ts';
import { type S3Server, startS3Server } from '../../test/harness/s3.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { type EtcdBackup, ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Clock } from '../../lib/clock.ts';
import { OPERATION_LABEL } from '../../lib/backup/task/run-backup-task.ts';
import { TOOL } from '../../lib/program-version.ts';
import { openRepository } from '../../lib/repository/open-repository.ts';
import type { Repository } from '../../lib/repository/repository.ts';
import type { SoundBackup } from '../../lib/repository/backup-entry.ts';
import { openStore } from '../../lib/storage/open-store.ts';
import { type ControllerFactory, CONTROLLERS } from '../controllers.ts';
import { SECRETS } from '../core-resources.ts';
import {
  type Installation,
  type LogLine,
  NAMESPACE,
  recordedLog,
  startInstallation,
} from '../installation.fixture.ts';
import { runControlPlane } from '../main.ts';
import type { SettingName } from '../settings.ts';

/** A running control plane of this process. */
export interface Replica extends AsyncDisposable {
  readonly lines: LogLine[];
}

/** A real API server with our resources, an etcd to back up that has no agent, and a store. */
export interface BackupScene extends AsyncDisposable {
  readonly installation: Installation;
  readonly etcd: Etcd;
  readonly s3: S3Server;
  readonly folder: TemporaryFolder;
  /** `flags` of its settings. */
  start(options?: {
    controllers?: readonly ControllerFactory[];
    flags?: Partial<Record<SettingName, string>>;
    clock?: Clock;
  }): Replica;
  /** Creates one, of the etcd without an agent, in our namespace; resolves to its name. */
  create(name: string, spec?: object, metadata?: object): Promise<string>;
  get(name: string): Promise<EtcdBackup>;
  /** Waits until it completed or failed. */
  ended(name: string): Promise<EtcdBackup>;
  putSecret(name: string, data: Readonly<Record<string, string>>): Promise<void>;
  /** Operations of the backups below that prefix that aren't removed. */
  manifests(prefix: string): Promise<(string | undefined)[]>;
  /** Marks what that operation has stored below the prefix as removed. */
  remove(prefix: string, operation: string | undefined): Promise<void>;
  /** Where backups of `create` go. */
  location(prefix?: string): object;
}

const ROOT = join(import.meta.dirname, '..', '..');

export async function startBackupScene(): Promise<BackupScene> {
  await using stack = new AsyncDisposableStack();
  const [installation, etcd, s3, folder] = await Promise.all([
    startInstallation(),
    startEtcd(),
    startS3Server(),
    temporaryFolder(),
  ]);
  for (const one of [installation, etcd, s3, folder]) stack.use(one);
  await s3.createBucket('backups');
  const { server, kube } = installation;
  await server.kubectl('apply', '-f', join(ROOT, 'manifests/crds'));
  await eventually('the resources are served', async () => {
    await kube.list(ETCD_BACKUP_RESOURCE, { namespace: NAMESPACE });
    return true;
  });
  const putSecret: BackupScene['putSecret'] = async (name, data) => {
    const reference = { resource: SECRETS, namespace: NAMESPACE, name };
    await kube.delete(reference).catch(() => undefined);
    await kube.create(SECRETS, NAMESPACE, { metadata: { name }, stringData: data });
  };
  await putSecret('s3', { 'access-key-id': s3.accessKeyId, 'secret-access-key': s3.secretAccessKey });
  const location = (prefix = 'main'): object => ({
    ...{ provider: 'S3', bucket: 'backups', prefix, region: s3.region, endpoint: s3.endpoint },
    credentialsSecret: 's3',
  });
  const get: BackupScene['get'] = (name) =>
    kube.get<EtcdBackup>({ resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name });
  const stored = async (prefix: string): Promise<readonly [Repository, SoundBackup[]]> => {
    const { endpoint, region, accessKeyId, secretAccessKey } = s3;
    const store = await openStore({
      ...{ kind: 's3', bucket: 'backups', prefix, endpoint, region },
      credentials: { kind: 'static', accessKeyId, secretAccessKey },
    });
    const clock = (): Date => new Date();
    const repository = await openRepository({ store, clock, randomBytes, tool: TOOL });
    const found: SoundBackup[] = [];
    for (const cluster of await repository.listClusters())
      for (const entry of await repository.listBackups(cluster))
        if (entry.state === 'sound') found.push(entry);
    return [repository, found];
  };
  const operationOf = ({ manifest }: SoundBackup): string | undefined => manifest.labels?.[OPERATION_LABEL];
  const manifests: BackupScene['manifests'] = async (prefix) => (await stored(prefix))[1].map(operationOf);
  const remove: BackupScene['remove'] = async (prefix, operation) => {
    const [repository, found] = await stored(prefix);
    const one = found.find((entry) => operationOf(entry) === operation);
    assert.ok(one !== undefined);
    await repository.removeBackup(one, { by: 'test', reason: 'as a leader that died' });
  };
  const moved = stack.move();
  return {
    ...{ installation, etcd, s3, folder, putSecret, get, location, manifests, remove },
    start({ controllers = CONTROLLERS, flags = {}, clock = () => new Date() } = {}) {
      const { log, lines } = recordedLog();
      const ending = new AbortController();
      const running = runControlPlane(
        installation.settings({
          podName: `controlplane-${randomUUID().slice(0, 8)}`,
          spoolDir: folder.join('spool'),
          ...flags,
        }),
        { clock, random: Math.random, log, signal: ending.signal, env: {}, controllers },
      );
      running.catch(() => undefined);
      return {
        lines,
        async [Symbol.asyncDispose]() {
          ending.abort();
          await running;
        },
      };
    },
    async create(name, spec = {}, metadata = {}) {
      await kube.create(ETCD_BACKUP_RESOURCE, NAMESPACE, {
        apiVersion: 'etcdguardian.io/v1alpha1',
        kind: 'EtcdBackup',
        metadata: { name, ...metadata },
        spec: {
          ...{ backupMode: 'Full', etcdEndpoints: [etcd.endpoint], storageLocation: location() },
          ...spec,
        },
      });
      return name;
    },
    ended: async (name) =>
      eventually(
        `${name} has ended`,
        async () => {
          const backup = await get(name);
          const { phase } = backup.status ?? {};
          assert.notEqual(phase, undefined);
          return phase === 'Completed' || phase === 'Failed' ? backup : undefined;
        },
        // It may be the last of many.
        2 * DEADLINE_MS,
      ),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}
