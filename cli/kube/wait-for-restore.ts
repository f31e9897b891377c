import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdRestore, ETCD_RESTORE_RESOURCE } from '../../lib/kubernetes/api/etcd-restore.ts';
import { followObject } from './follow-object.ts';
import { restorePhase } from './restore-text.ts';
import { failureOf, type Waiting } from './wait-for-backup.ts';
import { tellAway } from './wait-options.ts';

/** What an API server may answer for a moment while the etcd under it is another one, older or not there yet. */
const WHILE_RESTORED = [
  'kubernetes.unauthorized',
  'kubernetes.forbidden',
  'kubernetes.not-found',
  'kubernetes.refused',
];

/**
 * Follows a restore to its end, telling its steps; also while it stops the API servers, and while the restored etcd
 * doesn't know it yet: the control plane makes it again there. Resolves to it when it completed; rejects with the
 * status's own code when it failed, and with the signal's reason.
 */
export async function waitForRestore({
  client,
  namespace,
  name,
  progress,
  signal,
}: Waiting): Promise<EtcdRestore> {
  const reference = { resource: ETCD_RESTORE_RESOURCE, namespace, name };
  let last: EtcdRestore | undefined;
  let told = '';
  const tell = (text: string): void => {
    if (text !== told) progress.say(text);
    told = text;
  };
  const following = followObject<EtcdRestore>(client, reference, {
    signal,
    onAway: tellAway(progress, 'a restore of a cluster stops it for a while; trying on'),
    alsoAway: ({ code }) => last !== undefined && WHILE_RESTORED.includes(code),
  });
  for await (const restore of following) {
    if (restore === undefined) {
      if (last === undefined || !mayComeBack(last)) throw gone(namespace, name);
      tell('the restored etcd does not know of this restore yet; the control plane will tell it');
      continue;
    }
    const { phase, members = [] } = restore.status ?? {};
    const states = members.map(({ node, state = 'Planned' }) => `${node} ${state}`).join(', ');
    tell(`${restorePhase(restore)}${states === '' ? '' : `: ${states}`}`);
    if (phase === 'Completed') return restore;
    if (phase === 'Failed') throw failureOf('EtcdRestore', restore);
    last = restore;
  }
  throw new GuardianError('kubernetes.unavailable', 'the watch ended', { retryable: true });
}

/** Only one of the whole cluster takes itself away, with everything else that is younger than the restore point. */
function mayComeBack({ spec, status, metadata }: EtcdRestore): boolean {
  const isCluster = (spec.namespaceFilter ?? []).length === 0 && status?.objects === undefined;
  return isCluster && metadata.deletionTimestamp === undefined && status?.phase !== undefined;
}

function gone(namespace: string, name: string): GuardianError {
  return new GuardianError(
    'kubernetes.not-found',
    `there is no EtcdRestore ${namespace}/${name} (any more)`,
    {
      hint: 'The log of the control plane tells what became of it: kubectl logs -n etcd-guardian-system deploy/etcdguardian-controlplane',
    },
  );
}
