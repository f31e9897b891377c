import type { EtcdRestoreSpec } from '../../lib/kubernetes/api/etcd-restore-spec.ts';
import { PODS } from '../core-resources.ts';
import { judgeAsked, rightsSettings } from '../judge-asked.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';
import type { WantedDrill } from './choose-drill.ts';
import { drillImages, PROGRAM_PODS, type ProgramPod } from './drill-images.ts';
import { drillInput } from './drill-input.ts';
import type { DrillOrder } from './drill-order.ts';
import type { DrillPodSettings } from './drill-pod-settings.ts';
import { drillName } from './drill-request.ts';

/** What of the control plane drills are held with. */
export type DrillTools = Pick<
  ControlPlaneTools,
  | 'kube'
  | 'namespace'
  | 'clock'
  | 'random'
  | 'log'
  | 'audit'
  | 'events'
  | 'metrics'
  | 'settings'
  | 'signingKeyFile'
>;

/**
 * Everything that a drill of this backup needs, found anew: whether whoever asked for the backup may still make it, for a
 * drill on demand whether he may restore it, his Secrets with his rights, and the images. Rejects as `judgeAsked`,
 * `readRunSecrets`, `drillInput` and `drillImages` do.
 */
export async function prepareDrill(
  { backup, requested }: WantedDrill,
  pod: DrillPodSettings,
  tools: DrillTools,
  signal: AbortSignal,
): Promise<DrillOrder> {
  const { namespace = '', name, uid = '' } = backup.metadata;
  const { storageLocation, encryption, requestedBy: requester } = backup.spec;
  await judgeAsked(
    {
      ...{ what: 'drill', kind: 'EtcdBackup', name, uid, requester, scopeOf: () => 'cluster' },
      asked:
        requested === undefined
          ? { kind: 'EtcdBackup', namespace, spec: backup.spec }
          : { kind: 'EtcdRestore', namespace, spec: { ...REHEARSED, backupName: name } },
    },
    tools,
    signal,
  );
  const secrets = await readRunSecrets(
    { storageLocation, encryption },
    { namespace, requester },
    tools,
    signal,
  );
  const { items } = await tools.kube.list<ProgramPod>(PODS, {
    ...{ namespace: 'kube-system', labelSelector: PROGRAM_PODS, signal },
  });
  const job = drillName(backup);
  const { drillsEtcdImage = '', drillsKubeApiserverImage = '', drillsKubeApiserver } = tools.settings;
  return {
    ...{ name: job, secret: `${job}-${randomName(tools.random)}`, at: tools.clock() },
    backup: { namespace, name, uid },
    ...(await drillInput(backup, secrets, rightsSettings(tools).tenantEndpoints)),
    images: drillImages(items, {
      ...{ guardian: pod.image, etcd: drillsEtcdImage, kubeApiserver: drillsKubeApiserverImage },
      withApiServer: drillsKubeApiserver,
    }),
  };
}

/** What a drill rehearses: a restore of the whole cluster. */
const REHEARSED: EtcdRestoreSpec = {
  ...{ restoreMode: 'Full', quiesceCluster: true, conflictPolicy: 'Fail', dryRun: false },
  versionCompatibility: { check: true, allowMismatch: false },
};

/** Eight letters and digits. */
function randomName(random: () => number): string {
  return Array.from({ length: 8 }, () => Math.floor(random() * 36).toString(36)).join('');
}
