import type { KubeObject, KubeResource } from '../../lib/kubernetes/kube-client.ts';

/** Kubernetes' own resources, as far as these commands look at them. */
const core = (plural: string): KubeResource => ({ group: '', version: 'v1', plural });
const admission = (plural: string): KubeResource => ({
  ...{ group: 'admissionregistration.k8s.io', version: 'v1', plural },
});

export const NAMESPACES = core('namespaces');
export const SECRETS = core('secrets');
export const CONFIG_MAPS = core('configmaps');
export const PODS = core('pods');
export const DAEMON_SETS: KubeResource = { group: 'apps', version: 'v1', plural: 'daemonsets' };
export const LEASES: KubeResource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
export const EVENTS: KubeResource = { group: 'events.k8s.io', version: 'v1', plural: 'events' };
export const CRDS: KubeResource = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' },
};
export const MUTATING_WEBHOOKS = admission('mutatingwebhookconfigurations');
export const VALIDATING_WEBHOOKS = admission('validatingwebhookconfigurations');
export const POLICIES = admission('validatingadmissionpolicies');
export const POLICY_BINDINGS = admission('validatingadmissionpolicybindings');

export interface DataObject extends KubeObject {
  /** In base64 where it is a Secret's. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly hostIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount?: number;
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
    }[];
  };
}

export interface DaemonSet extends KubeObject {
  readonly status?: { readonly desiredNumberScheduled?: number; readonly numberReady?: number };
}

export interface CustomResourceDefinition extends KubeObject {
  readonly spec?: { readonly versions?: readonly { readonly name: string; readonly served: boolean }[] };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig: { readonly caBundle?: string };
    readonly failurePolicy?: string;
  }[];
}

export interface PolicyBinding extends KubeObject {
  readonly spec?: { readonly policyName?: string };
}

/** events.k8s.io/v1. */
export interface KubeEvent extends KubeObject {
  readonly reason?: string;
  readonly note?: string;
  readonly type?: string;
  readonly eventTime?: string | null;
  readonly series?: { readonly lastObservedTime?: string };
  readonly regarding?: { readonly kind?: string; readonly name?: string };
}
