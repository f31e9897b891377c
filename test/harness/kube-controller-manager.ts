import { DEFAULT_KUBERNETES, type KubeApiServer } from './kube-apiserver.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { requireTool } from './tools.ts';

/** What `needs` wants for a controller manager. */
export const CONTROLLER_MANAGER = `kube-controller-manager ${DEFAULT_KUBERNETES}`;

export type Controller =
  | 'namespace-controller'
  | 'garbage-collector-controller'
  | 'serviceaccount-controller'
  | 'serviceaccount-token-controller'
  | 'root-ca-certificate-publisher-controller'
  | 'job-controller'
  | 'daemonset-controller'
  | 'deployment-controller'
  | 'replicaset-controller';

/** Without these, deleted namespaces stay for ever, orphans too, and no namespace has its default service account. */
export const USUAL_CONTROLLERS: readonly Controller[] = [
  'namespace-controller',
  'garbage-collector-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
];

/**
 * A real controller manager, of which only these controllers run. They begin at once, but need a moment to see what is
 * there: wait for what they do.
 */
export async function startControllerManager(
  kube: KubeApiServer,
  controllers: readonly Controller[] = USUAL_CONTROLLERS,
): Promise<ServerProcess> {
  return await startProcess(requireTool('kube-controller-manager', DEFAULT_KUBERNETES), [
    `--kubeconfig=${kube.kubeconfig}`,
    `--controllers=${controllers.join(',')}`,
    ...['--leader-elect=false', '--secure-port=0', '--profiling=false'],
    `--service-account-private-key-file=${kube.serviceAccountKeyFile}`,
    `--root-ca-file=${kube.authority.certificateFile}`,
    // The garbage collector forgets its first failures only slowly.
    '--min-resync-period=1m',
  ]);
}
