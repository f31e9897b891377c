import type { EtcdRestore } from '../../lib/kubernetes/api/etcd-restore.ts';
import type { Judgement } from '../../lib/kubernetes/rights/judge-rights.ts';
import { isNamespaced } from '../../lib/kubernetes/rights/required-rights.ts';
import { judgeAsked, type JudgingTools } from '../judge-asked.ts';

/** Whether the requester may restore this, now; see `judgeAsked`. */
export async function judgeRestore(
  { metadata, spec }: EtcdRestore,
  tools: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  const { namespace = '', name, uid } = metadata;
  const { namespaceFilter = [] } = spec;
  return await judgeAsked(
    {
      what: 'restore',
      asked: { kind: 'EtcdRestore', namespace, spec },
      ...{ name, uid, requester: spec.requestedBy },
      scopeOf: ({ source, namespaces }) => {
        if (!isNamespaced(spec, source)) return 'cluster';
        return namespaceFilter.length > 0 ? namespaceFilter : namespaces;
      },
    },
    tools,
    signal,
  );
}
