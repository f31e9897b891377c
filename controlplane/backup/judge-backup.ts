import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { Judgement } from '../../lib/kubernetes/rights/judge-rights.ts';
import { selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import { judgeAsked, type JudgingTools } from '../judge-asked.ts';

/** Whether the requester may back this up, now; see `judgeAsked`. */
export async function judgeBackup(
  { metadata, spec }: EtcdBackup,
  tools: JudgingTools,
  signal: AbortSignal,
): Promise<Judgement> {
  const { namespace = '', name, uid } = metadata;
  return await judgeAsked(
    {
      what: 'backup',
      asked: { kind: 'EtcdBackup', namespace, spec },
      ...{ name, uid, requester: spec.requestedBy },
      scopeOf: ({ namespaces }) => (selectsAll(spec.namespaceSelector) ? 'cluster' : namespaces),
    },
    tools,
    signal,
  );
}
