import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, type WebhookConfiguration } from '../core-resources.ts';

export interface WebhookServiceName {
  readonly namespace: string;
  readonly name: string;
}

/**
 * Gives `caBundle` (PEM) to every webhook of the labelled configurations that calls our Service; others in them are left
 * alone. Resolves to the names of the configurations that were changed. A configuration that changes meanwhile rejects
 * with `kubernetes.conflict`: the next try sees it as it is.
 */
export async function keepCaBundles(
  kube: KubeClient,
  selector: string,
  service: WebhookServiceName,
  caBundle: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const wanted = Buffer.from(caBundle).toString('base64');
  const changed: string[] = [];
  for (const resource of [MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS]) {
    const { items } = await kube.list<WebhookConfiguration>(resource, { labelSelector: selector, signal });
    for (const { metadata, webhooks = [] } of items) {
      const kept = withBundle(webhooks, service, wanted);
      if (kept === undefined) continue;
      const { name, resourceVersion } = metadata;
      // A merge patch replaces lists as a whole, so it holds only over what was read.
      const patch = { metadata: { resourceVersion }, webhooks: kept };
      await kube.mergePatch({ resource, name }, patch, { signal });
      changed.push(name);
    }
  }
  return changed;
}

type Webhooks = NonNullable<WebhookConfiguration['webhooks']>;

/** Undefined when all is as wanted. */
function withBundle(webhooks: Webhooks, service: WebhookServiceName, caBundle: string): Webhooks | undefined {
  const isStale = ({ clientConfig }: Webhooks[number]): boolean =>
    clientConfig.service?.name === service.name &&
    clientConfig.service.namespace === service.namespace &&
    clientConfig.caBundle !== caBundle;
  if (!webhooks.some(isStale)) return undefined;
  return webhooks.map((webhook) =>
    isStale(webhook) ? { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } } : webhook,
  );
}
