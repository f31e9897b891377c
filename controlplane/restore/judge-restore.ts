import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import { type Judgement, judgeRights } from '../../lib/kubernetes/rights/judge-rights.ts';
import { type Asked, isNamespaced } from '../../lib/kubernetes/rights/required-rights.ts';
import { readSurroundings } from '../../lib/kubernetes/rights/surroundings.ts';
import { type JudgingTools, rightsSettings } from '../backup/judge-backup.ts';
import { noRequester, requireVouched } from '../secrets/secret-reader.ts';

/**
 * Asks again, before a restore, for every right that admission asked for; the answer goes to the audit log. Rejects with
 * `admission.forbidden`, `controlplane.no-requester`, and as `judgeRights` does.
 */
export async function judgeRestore(
  { metadata, spec }: EtcdRestore,
  tools: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  const { namespace = '', name, uid } = metadata;
  const asked: Asked = { kind: 'EtcdRestore', namespace, spec };
  const { requestedBy } = spec;
  if (requestedBy !== undefined) requireVouched(tools, namespace);
  const judgement =
    requestedBy === undefined
      ? await unstamped(asked, tools, signal)
      : await judgeRights(tools.kube, requestedBy, asked, rightsSettings(tools), signal);
  const { refusal, scope } = judgement;
  tools.audit({
    who: requestedBy,
    what: 'restore',
    resource: { kind: 'EtcdRestore', namespace, name, uid },
    scope,
    result: refusal === undefined ? 'allowed' : 'denied',
    reason: refusal?.code,
    message: refusal?.message,
    operation: uid,
  });
  if (refusal !== undefined) throw refusal;
  return judgement;
}

/** Whoever may create in our own namespace may what we may. */
async function unstamped(
  asked: Asked & { readonly kind: 'EtcdRestore' },
  { kube, namespace }: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  if (asked.namespace !== namespace) throw noRequester(asked.namespace, namespace);
  const surroundings = await readSurroundings(kube, asked, signal);
  const { namespaceFilter = [] } = asked.spec;
  if (!isNamespaced(asked.spec, surroundings.source))
    return { refusal: undefined, surroundings, scope: 'cluster' };
  const scope = namespaceFilter.length > 0 ? namespaceFilter : surroundings.namespaces;
  return { refusal: undefined, surroundings, scope };
}
