import type { Command } from 'commander';
import { GuardianError } from '../../lib/guardian-error.ts';
import { connectKube } from '../../lib/kubernetes/connect-kube.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { collect } from '../option-values.ts';
import type { Session } from '../session.ts';

/** How kubectl's own options name a cluster and a user. */
export interface KubeOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly as?: string;
  readonly asGroup?: readonly string[];
}

export interface AllNamespaces {
  readonly allNamespaces?: boolean;
}

export function withKubeOptions(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'how to reach the cluster (or $KUBECONFIG, the pod, ~/.kube/config)')
    .option('--context <name>', 'of the kubeconfig')
    .option('-n, --namespace <name>', "the namespace (default: the context's)")
    .option('--as <user>', 'act as this user, if you may')
    .option('--as-group <group>', 'and as a member of this group; may be repeated', collect, []);
}

/** A connection for one command. */
export interface ConnectedKube extends Disposable {
  readonly client: KubeClient;
  /** The one that is asked for, else the context's. */
  readonly namespace: string;
}

/** Rejects with `kubernetes.credentials`; asks the server nothing yet. */
export async function connectWith(session: Session, options: KubeOptions): Promise<ConnectedKube> {
  const { kubeconfig, context, as: user, asGroup = [] } = options;
  const connection = await connectKube({ kubeconfig, context, env: session.terminal.env, component: 'cli' });
  if (user === undefined && asGroup.length > 0)
    throw new GuardianError('usage.as', '--as-group without --as', { hint: 'name the user with --as' });
  return {
    client: user === undefined ? connection : connection.as({ username: user, groups: asGroup }),
    namespace: options.namespace ?? connection.namespace ?? 'default',
    [Symbol.dispose]: () => {
      connection[Symbol.dispose]();
    },
  };
}
