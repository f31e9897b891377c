import { hasCode } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import { CONFIG_MAPS, type ConfigMap, OUR_LABELS } from '../core-resources.ts';

/** Whom to trust, as the ConfigMap tells agents, people and restores. */
export interface Trust {
  readonly 'ca.crt': string;
  readonly 'signer.pem'?: string;
}

/** Makes the ConfigMap say this; resolves to what was there before. Writes only what differs. */
export async function keepTrustMap(
  kube: KubeClient,
  reference: Pick<KubeReference, 'namespace' | 'name'>,
  trust: Trust,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, string>> | undefined> {
  const map = { resource: CONFIG_MAPS, ...reference };
  const before = await readTrustMap(kube, reference, signal);
  if (before === undefined) {
    const object = { metadata: { name: reference.name, labels: OUR_LABELS }, data: trust };
    await kube.create(
      CONFIG_MAPS,
      reference.namespace,
      { apiVersion: 'v1', kind: 'ConfigMap', ...object },
      { signal },
    );
    return undefined;
  }
  const differs = Object.entries(trust).some(([name, text]) => before[name] !== text);
  if (differs) await kube.mergePatch<ConfigMap>(map, { data: trust }, { signal });
  return before;
}

/** Its entries; undefined where there is none. */
export async function readTrustMap(
  kube: KubeClient,
  reference: Pick<KubeReference, 'namespace' | 'name'>,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const { data } = await kube.get<ConfigMap>({ resource: CONFIG_MAPS, ...reference }, { signal });
    return data ?? {};
  } catch (error) {
    if (hasCode(error, 'kubernetes.not-found')) return undefined;
    throw error;
  }
}
