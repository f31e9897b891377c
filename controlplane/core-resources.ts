import type { KubeObject, KubeResource } from '../lib/kubernetes/kube-client.ts';

/** Kubernetes' own resources, as far as the frame of the control plane reads them. */
export const NAMESPACES: KubeResource = { group: '', version: 'v1', plural: 'namespaces' };
export const SECRETS: KubeResource = { group: '', version: 'v1', plural: 'secrets' };
export const CONFIG_MAPS: KubeResource = { group: '', version: 'v1', plural: 'configmaps' };
export const PODS: KubeResource = { group: '', version: 'v1', plural: 'pods' };
export const DAEMON_SETS: KubeResource = { group: 'apps', version: 'v1', plural: 'daemonsets' };
export const MUTATING_WEBHOOKS: KubeResource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
};
export const VALIDATING_WEBHOOKS: KubeResource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
};

export interface Secret extends KubeObject {
  readonly type?: string;
  /** In base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string; readonly serviceAccountName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly hostIP?: string;
  };
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly WebhookEntry[];
}

export interface WebhookEntry {
  readonly name: string;
  readonly clientConfig: {
    readonly caBundle?: string;
    readonly service?: { readonly namespace: string; readonly name: string };
  };
}

/** The labels of what this program makes. */
export const OUR_LABELS = {
  'app.kubernetes.io/name': 'etcdguardian',
  'app.kubernetes.io/component': 'controlplane',
} as const;

export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

export function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8');
}
