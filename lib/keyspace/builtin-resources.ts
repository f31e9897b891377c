/** A directory of Kubernetes' own under the prefix, and the API resource that lives in it. */
export interface BuiltinDirectory {
  /** The plural of the API. */
  readonly resource: string;
  /** The API group, where the directory says it. */
  readonly group?: string;
  readonly namespaced: boolean;
}

/**
 * Every directory that kube-apiserver writes, by its path under the prefix. The plural of the API it is, but for a few
 * from before there were groups (kubernetes/kubernetes, test/integration/etcd/data.go lists the keys it expects).
 */
export const BUILTIN_DIRECTORIES: ReadonlyMap<string, BuiltinDirectory> = new Map<string, BuiltinDirectory>([
  ...plurals(
    true,
    `configmaps controllerrevisions cronjobs csistoragecapacities daemonsets deployments endpointslices events
    horizontalpodautoscalers jobs leasecandidates leases limitranges networkpolicies persistentvolumeclaims
    podcertificaterequests poddisruptionbudgets podgroups pods podtemplates replicasets resourceclaims
    resourceclaimtemplates resourcequotas rolebindings roles secrets serviceaccounts statefulsets workloads`,
  ),
  ...plurals(
    false,
    `certificatesigningrequests clusterrolebindings clusterroles clustertrustbundles csidrivers csinodes deviceclasses
    devicetaintrules flowschemas ingressclasses ipaddresses mutatingadmissionpolicies mutatingadmissionpolicybindings
    mutatingwebhookconfigurations namespaces persistentvolumes priorityclasses prioritylevelconfigurations
    resourcepoolstatusrequests resourceslices runtimeclasses servicecidrs storageclasses storageversionmigrations
    storageversions validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations
    volumeattachments volumeattributesclasses`,
  ),
  ['services/specs', { resource: 'services', namespaced: true }],
  ['services/endpoints', { resource: 'endpoints', namespaced: true }],
  ['controllers', { resource: 'replicationcontrollers', namespaced: true }],
  ['ingress', { resource: 'ingresses', namespaced: true }],
  ['minions', { resource: 'nodes', namespaced: false }],
  ['podsecuritypolicy', { resource: 'podsecuritypolicies', namespaced: false }],
  ['apiregistration.k8s.io/apiservices', own('apiservices', 'apiregistration.k8s.io')],
  [
    'apiextensions.k8s.io/customresourcedefinitions',
    own('customresourcedefinitions', 'apiextensions.k8s.io'),
  ],
  // Of the API servers themselves, not of the API.
  ['masterleases', { resource: 'masterleases', namespaced: false }],
  ['peerserverleases', { resource: 'peerserverleases', namespaced: false }],
  ['ranges', { resource: 'ranges', namespaced: false }],
]);

function plurals(namespaced: boolean, names: string): [string, BuiltinDirectory][] {
  return names.split(/\s+/).map((resource) => [resource, { resource, namespaced }]);
}

function own(resource: string, group: string): BuiltinDirectory {
  return { resource, group, namespaced: false };
}
