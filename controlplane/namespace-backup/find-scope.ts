import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { mayI, mayUser } from '../../lib/kubernetes/access-review.ts';
import type { Requester } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { discovery } from '../../lib/kubernetes/discovery.ts';
import { type ExportScope, exportScope } from '../../lib/kubernetes/export/export-scope.ts';
import type { KubeObject } from '../../lib/kubernetes/kube-client.ts';

/** Asks the API server what there is in these namespaces that the requester may list. Rejects with the client's errors. */
export async function findScope(
  kube: KubeClient,
  requester: Requester | undefined,
  namespaces: readonly string[],
  signal: AbortSignal,
): Promise<ExportScope> {
  const { resources: served, unknown } = await discovery(kube).get({ signal });
  return await exportScope(namespaces, {
    may: (attributes) =>
      requester === undefined
        ? mayI(kube, attributes, { signal })
        : mayUser(kube, requester, attributes, { signal }),
    ...{ served, unknown, elsewhere: await servedElsewhere(kube, signal) },
    who: requester === undefined ? 'the control plane' : `user ${JSON.stringify(requester.username)}`,
  });
}

interface ApiService extends KubeObject {
  readonly spec?: { readonly group?: string; readonly version?: string; readonly service?: object | null };
}

/** What an aggregated API server serves lies in a store of its own. */
async function servedElsewhere(kube: KubeClient, signal: AbortSignal): Promise<Set<string>> {
  const { items } = await kube.list<ApiService>(API_SERVICES, { signal });
  return new Set(
    items
      .filter(({ spec }) => spec?.service !== undefined && spec.service !== null)
      .map(({ spec }) => `${spec?.group ?? ''}/${spec?.version ?? ''}`),
  );
}

const API_SERVICES = { group: 'apiregistration.k8s.io', version: 'v1', plural: 'apiservices' } as const;
