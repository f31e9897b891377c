import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { IMAGE_REPOSITORY } from './node-images.ts';
import type { NodePlace } from './node-place.ts';
import { CLUSTER_VERSIONS } from './node-system.ts';

/** Where the API server finds its audit policy, and writes its log: in a folder of the node. */
export const AUDIT = {
  policy: '/etc/kubernetes/audit/policy.yaml',
  folder: '/var/log/kubernetes/audit',
  log: '/var/log/kubernetes/audit/audit.log',
};

/** What `kubeadm init` is told. All else is kubeadm's own. */
export function kubeadmSettings(place: NodePlace, options: { readonly audited: boolean }): string {
  const { kubernetes, etcd, coredns } = CLUSTER_VERSIONS;
  const documents = [
    {
      ...{ apiVersion: 'kubeadm.k8s.io/v1beta4', kind: 'InitConfiguration' },
      localAPIEndpoint: { advertiseAddress: place.nodeAddress, bindPort: 6443 },
      nodeRegistration: {
        ...{ name: place.name, criSocket: 'unix:///run/containerd/containerd.sock' },
        imagePullPolicy: 'Never',
        // There is no other node for the pods of a test.
        taints: [],
      },
    },
    {
      ...{ apiVersion: 'kubeadm.k8s.io/v1beta4', kind: 'ClusterConfiguration' },
      kubernetesVersion: `v${kubernetes}`,
      imageRepository: IMAGE_REPOSITORY,
      networking: { podSubnet: place.podNetwork, serviceSubnet: place.serviceNetwork },
      etcd: { local: { imageTag: etcd } },
      apiServer: apiServer(options.audited),
      dns: { imageTag: `v${coredns}` },
    },
    {
      ...{ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' },
      cgroupDriver: 'cgroupfs',
      failCgroupV1: false,
      failSwapOn: false,
      // An image that was thrown away could not be had again, and the disk is the whole machine's.
      imageGCHighThresholdPercent: 100,
      evictionHard: {
        'memory.available': '0%',
        'nodefs.available': '0%',
        'nodefs.inodesFree': '0%',
        'imagefs.available': '0%',
      },
    },
    {
      ...{ apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' },
      mode: 'nftables',
      // These settings are the whole machine's.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    },
  ];
  return documents.map((document) => stringify(document)).join('---\n');
}

function apiServer(audited: boolean): object {
  const plugins = {
    name: 'enable-admission-plugins',
    // Some distributions have the second one: owner references then need rights of their own.
    value: 'NodeRestriction,OwnerReferencesPermissionEnforcement',
  };
  if (!audited) return { extraArgs: [plugins] };
  const folder = dirname(AUDIT.policy);
  return {
    extraArgs: [
      plugins,
      { name: 'audit-policy-file', value: AUDIT.policy },
      { name: 'audit-log-path', value: AUDIT.log },
    ],
    extraVolumes: [
      { name: 'audit-policy', hostPath: folder, mountPath: folder, readOnly: true, pathType: 'Directory' },
      {
        name: 'audit-log',
        hostPath: AUDIT.folder,
        mountPath: AUDIT.folder,
        pathType: 'DirectoryOrCreate',
      },
    ],
  };
}
