import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { type Judgement, judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import { type Asked, type RightsSettings, selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import { readSurroundings } from '../../lib/kubernetes/rights/surroundings.ts';
import { tenantEndpoints } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { noRequester, requireVouched } from '../secrets/secret-reader.ts';
import type { ControlPlaneTools } from '../tools.ts';

export type JudgingTools = Pick<ControlPlaneTools, 'kube' | 'namespace' | 'settings' | 'audit'>;

/**
 * Asks again, before a run, for every right that admission asked for; the answer goes to the audit log. Rejects with
 * `admission.forbidden`, `controlplane.no-requester`, and as `judgeRights` does.
 */
export async function judgeBackup(
  backup: EtcdBackup,
  tools: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  const { namespace = '', name, uid } = backup.metadata;
  const asked: Asked = { kind: 'EtcdBackup', namespace, spec: backup.spec };
  const { requestedBy } = backup.spec;
  if (requestedBy !== undefined) requireVouched(tools, namespace);
  const judgement =
    requestedBy === undefined
      ? await unstamped(asked, tools, signal)
      : await judgeRights(tools.kube, requestedBy, asked, rightsSettings(tools), signal);
  const { refusal, scope } = judgement;
  tools.audit({
    who: requestedBy,
    what: 'backup',
    resource: { kind: 'EtcdBackup', namespace, name, uid },
    scope,
    result: refusal === undefined ? 'allowed' : 'denied',
    reason: refusal?.code,
    message: refusal?.message,
    operation: uid,
  });
  if (refusal !== undefined) throw refusal;
  return judgement;
}

/** As the installation has them; the webhook is given the same. */
export function rightsSettings({ settings }: Pick<ControlPlaneTools, 'settings'>): RightsSettings {
  return {
    tenantEndpoints: tenantEndpoints(settings.allowedEndpoints),
    veleroNamespace: VELERO_NAMESPACE,
  };
}

const VELERO_NAMESPACE = 'velero';

/** Whoever may create in our own namespace may what we may. */
async function unstamped(
  asked: Asked & { readonly kind: 'EtcdBackup' },
  { kube, namespace }: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  if (asked.namespace !== namespace) throw noRequester(asked.namespace, namespace);
  const surroundings = await readSurroundings(kube, asked, signal);
  const scope = selectsAll(asked.spec.namespaceSelector) ? 'cluster' : surroundings.namespaces;
  return { refusal: undefined, surroundings, scope };
}
