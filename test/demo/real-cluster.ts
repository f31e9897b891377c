import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { createAuthority } from '../harness/certificates.ts';
import { type Etcd, startEtcd } from '../harness/etcd.ts';
import { type KubeApiServer, startKubeApiServer } from '../harness/kube-apiserver.ts';
import { startControllerManager } from '../harness/kube-controller-manager.ts';
import { type S3Server, startS3Server } from '../harness/s3.ts';
import { temporaryFolder, type TemporaryFolder } from '../harness/temporary-folder.ts';
import { requireTool } from '../harness/tools.ts';
import { runShown, type ShownRun } from './narrator.ts';

const root = join(import.meta.dirname, '..', '..');

/** How clients reach etcd. */
export interface EtcdFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A control plane of Kubernetes as a node has it, without the node: nothing runs pods. */
export interface RealCluster extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly etcd: Etcd;
  readonly etcdFiles: EtcdFiles;
  readonly kube: KubeApiServer;
  readonly s3: S3Server;
  /**
   * Runs kubectl as that user (of the kubeconfig's contexts), in the folder, and shows it; its plugins are those of bin/.
   * Resolves to its exit status and what it printed.
   */
  kubectl(
    user: 'admin' | 'alice',
    args: readonly string[],
    options?: Pick<ShownRun, 'show' | 'until'>,
  ): Promise<{ readonly status: number | null; readonly printed: string }>;
  /** A file in the folder that kubectl runs in. */
  file(name: string, text: string): Promise<string>;
}

/** An etcd with TLS, an API server over it, the controllers of namespaces and garbage, and an S3 server. */
export async function startRealCluster(): Promise<RealCluster> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const authority = stack.use(await createAuthority('etcd of the demo'));
  const etcd = stack.use(await startEtcd({ tls: { authority, clientCertAuth: true } }));
  const client = await authority.issue({ commonName: 'etcd-client', uses: ['client'] });
  const etcdFiles: EtcdFiles = {
    ca: authority.certificateFile,
    cert: client.certificateFile,
    key: client.keyFile,
  };
  const [kube, s3] = await Promise.all([
    startKubeApiServer({
      etcd,
      users: [{ name: 'alice', groups: ['team-a'] }],
      args: [
        `--etcd-cafile=${etcdFiles.ca}`,
        `--etcd-certfile=${etcdFiles.cert}`,
        `--etcd-keyfile=${etcdFiles.key}`,
      ],
    }).then((started) => stack.use(started)),
    startS3Server().then((started) => stack.use(started)),
  ]);
  await s3.createBucket('backups');
  stack.use(await startControllerManager(kube));

  const kubeconfigs = {
    admin: kube.kubeconfig,
    alice: await kubeconfigOf(kube, kube.token('alice'), folder.join('kubeconfig-alice')),
  };
  const kubectl: RealCluster['kubectl'] = (user, args, options = {}) =>
    runShown(requireTool('kubectl', '1.36.3'), args, {
      ...options,
      title: `kubectl ${args.map(shellWord).join(' ')}${user === 'admin' ? '' : `      # as ${user}`}`,
      cwd: folder.path,
      env: {
        ...process.env,
        HOME: folder.path,
        KUBECONFIG: kubeconfigs[user],
        KUBECACHEDIR: folder.join('cache'),
        PATH: [join(root, 'bin'), dirname(process.execPath), process.env.PATH].join(delimiter),
      },
    });
  const owned = stack.move();
  return {
    ...{ folder, etcd, etcdFiles, kube, s3, kubectl },
    async file(name, text) {
      await writeFile(folder.join(name), text);
      return name;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A kubeconfig like the administrator's, with another token. */
export async function kubeconfigOf(kube: KubeApiServer, token: string, file: string): Promise<string> {
  const admins = JSON.parse(await readFile(kube.kubeconfig, 'utf8')) as object;
  const users = [{ name: 'test', user: { token } }];
  await writeFile(file, JSON.stringify({ ...admins, users }), { mode: 0o600 });
  return file;
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text}'`;
}
