import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { type KubeAccess, rememberCredentials } from './kube-access.ts';

/** Where kubelets mount a pod's service account. */
export const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Whether this process runs in a pod that has a service account. */
export function isInCluster(env: NodeJS.ProcessEnv, folder: string = SERVICE_ACCOUNT_FOLDER): boolean {
  return (env.KUBERNETES_SERVICE_HOST ?? '') !== '' && existsSync(join(folder, 'token'));
}

/**
 * The API server of the cluster that this pod runs in, as its service account. Token and CA are read again and again,
 * since kubelets replace them. Not from `@kubernetes/client-node`: loading that takes 80 MiB, for three files.
 */
export async function inClusterAccess(
  env: NodeJS.ProcessEnv,
  folder: string = SERVICE_ACCOUNT_FOLDER,
): Promise<KubeAccess> {
  const host = env.KUBERNETES_SERVICE_HOST ?? '';
  const port = env.KUBERNETES_SERVICE_PORT_HTTPS ?? env.KUBERNETES_SERVICE_PORT ?? '443';
  const access = {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace: await readNamespace(folder),
    credentials: rememberCredentials(async () => {
      const token = (await read(folder, 'token')).trim();
      if (token === '' || /[^\x21-\x7e]/.test(token))
        throw unreadable(join(folder, 'token'), 'it holds no token');
      return {
        headers: { authorization: `Bearer ${token}` },
        tls: { ca: await read(folder, 'ca.crt') },
      };
    }),
  };
  await access.credentials(false);
  return access;
}

async function readNamespace(folder: string): Promise<string | undefined> {
  const text = existsSync(join(folder, 'namespace')) ? (await read(folder, 'namespace')).trim() : '';
  return text === '' ? undefined : text;
}

async function read(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(path, reasonOf(error), error);
  }
}

function unreadable(path: string, why: string, cause?: unknown): GuardianError {
  return new GuardianError('kubernetes.credentials', `${path} of the service account can't be used: ${why}`, {
    hint: 'mount a service-account token into the pod (automountServiceAccountToken, or a projected volume)',
    // A kubelet that is just replacing it.
    retryable: true,
    cause,
  });
}
