import assert from 'node:assert/strict';
import { type BackupMoment, catchMoment } from './backup-moments.ts';
import { fillWithNoise } from './etcd-content.ts';
import { type Etcd, startEtcd } from './etcd.ts';
import { listAnswer } from './guardian-answers.ts';
import { type GuardianCli, guardianCli } from './guardian-cli.ts';
import { s3StoreOptions } from './guardian-store.ts';
import { type HttpProxy, type ProxyScript, startHttpProxy } from './http-proxy.ts';
import { type S3Server, startS3Server } from './s3.ts';
import { testRandom } from './sampling.ts';
import type { ServerProcess } from './server-process.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';
import { needs } from './tools.ts';
import { type Proxy, startToxiproxy } from './toxiproxy.ts';

/** What a scene needs, as options of `describe`. */
export const NEEDED_FOR_BACKUP_SCENE = needs('etcd 3.6.16', 'versitygw', 'toxiproxy-server');

/** An etcd with enough in it for an upload in parts, and an S3 server whose requests can be held at any moment. */
export interface BackupScene extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly etcd: Etcd;
  readonly s3: S3Server;
  /** What stands between the backups and the S3 server. */
  readonly proxy: HttpProxy;
  readonly cli: GuardianCli;
  /** What the proxy does from now on; everything passes at first. */
  follow(script: ProxyScript): void;
  /** The options that name a prefix, straight at the server. */
  store(prefix: string): string[];
  /** The command line of a backup through the proxy. */
  create(prefix: string, endpoint?: string): string[];
  /** A way to the etcd on which a snapshot takes seconds. */
  slowWay(): Promise<Proxy>;
  /** Starts that backup, and calls `stop` when the moment has come; rejects when it ends before. */
  stopAt(
    moment: BackupMoment,
    args: readonly string[],
    stop: (backup: ServerProcess) => Promise<void>,
  ): Promise<void>;
  /** The ids of the backups there, all of which must be sound. */
  listed(prefix: string): Promise<string[]>;
}

export async function startBackupScene(purpose: string): Promise<BackupScene> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder());
  const etcd = starting.use(await startEtcd());
  const s3 = starting.use(await startS3Server());
  const toxiproxy = starting.use(await startToxiproxy());
  let script = PASS;
  const proxy = starting.use(await startHttpProxy(s3.endpoint, (request) => script(request)));
  await s3.createBucket('backups');
  await fillWithNoise(etcd, 17, testRandom(purpose));
  const cli = guardianCli(folder);
  const stack = starting.move();

  const scene: BackupScene = {
    ...{ folder, etcd, s3, proxy, cli },
    follow(next) {
      script = next;
    },
    store: (prefix) => s3StoreOptions(s3, `backups/${prefix}`),
    create: (prefix, endpoint = etcd.endpoint) => [
      ...['backup', 'create', '--endpoints', endpoint, '--cluster', 'prod'],
      ...s3StoreOptions(s3, `backups/${prefix}`, proxy.endpoint),
    ],
    async slowWay() {
      const way = await toxiproxy.createProxy(etcd.address);
      await way.addToxic({ type: 'bandwidth', kilobytesPerSecond: 10_000 });
      return way;
    },
    async stopAt(moment, args, stop) {
      const { script: catching, caught } = catchMoment(moment);
      script = catching;
      await using backup = await cli.start(args);
      const early = backup.exited.then((how) => {
        throw new Error(`it ended (${how}) before ${moment.step}:\n${backup.output()}`);
      });
      await Promise.race([caught, early]);
      early.catch(() => undefined);
      await stop(backup);
      script = PASS;
    },
    async listed(prefix) {
      const entries = await cli.json(listAnswer, ['backup', 'list', ...scene.store(prefix)]);
      for (const { state, id } of entries) assert.equal(state, 'sound', id);
      return entries.map(({ id }) => id);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return scene;
}

const PASS: ProxyScript = () => ({ kind: 'pass' });
