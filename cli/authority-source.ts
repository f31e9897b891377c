import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import { GuardianError, hasCode, reasonOf } from '../lib/guardian-error.ts';
import { type AuthorityBundle, fromSecretData } from '../lib/pki/authority-bundle.ts';
import type { Session } from './session.ts';

export interface AuthorityOptions {
  readonly authorityFile?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly systemNamespace: string;
}

/** Adds the options that say where the authority is had from. */
export function withAuthorityOptions(command: Command): Command {
  return command
    .option(
      '--authority-file <file>',
      'a saved copy of Secret etcdguardian-authority (kubectl get secret -o yaml), for when no API server runs',
    )
    .option('--kubeconfig <file>', 'else the Secret itself: how to reach the cluster')
    .option('--context <name>', 'of the kubeconfig')
    .option('--system-namespace <name>', 'where EtcdGuardian is installed', 'etcd-guardian-system');
}

export interface FoundAuthority {
  readonly bundle: AuthorityBundle;
  /** For people. */
  readonly source: string;
}

/**
 * The authority of a cluster, out of a file or out of the Secret. Rejects with `pki.bundle`, `pki.authority`,
 * `pki.unreadable`, and the errors of a `KubeClient`. The Kubernetes client loads only when it is needed.
 */
export async function findAuthority(session: Session, options: AuthorityOptions): Promise<FoundAuthority> {
  const { authorityFile, kubeconfig, context, systemNamespace: namespace } = options;
  if (authorityFile !== undefined) return authorityIn(authorityFile);
  const { connectKube } = await import('../lib/kubernetes/connect-kube.ts');
  const { env, signal } = session.terminal;
  using kube = await connectKube({ kubeconfig, context, env, component: 'cli' });
  const name = 'etcdguardian-authority';
  const source = `Secret ${namespace}/${name} at ${kube.server}`;
  const resource = { group: '', version: 'v1', plural: 'secrets' };
  try {
    const secret = Secret.parse(await kube.get({ resource, namespace, name }, { signal }));
    return { bundle: fromSecretData(secret.data, source), source };
  } catch (error) {
    if (!hasCode(error, 'kubernetes.unreachable') && !hasCode(error, 'kubernetes.unavailable')) throw error;
    throw new GuardianError(error.code, error.message, {
      hint: 'With no API server use a copy of the Secret that was saved before: --authority-file.',
      retryable: error.retryable,
      cause: error,
    });
  }
}

const Secret = z.object({ kind: z.string().optional(), data: z.record(z.string(), z.string()).default({}) });

async function authorityIn(file: string): Promise<FoundAuthority> {
  let data: Readonly<Record<string, string>>;
  try {
    data = Secret.parse(parse(await readFile(file, 'utf8'))).data;
  } catch (error) {
    throw new GuardianError('pki.unreadable', `${file} is no saved Secret: ${reasonOf(error)}`, {
      hint: 'Save it with: kubectl -n etcd-guardian-system get secret etcdguardian-authority -o yaml',
      cause: error,
    });
  }
  return { bundle: fromSecretData(data, file), source: file };
}
