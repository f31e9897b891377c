const inA = (apiVersion: string, kind: string, name: string, rest: object): object => ({
  ...{ apiVersion, kind, metadata: { name, namespace: 'team-a', labels: { app: name } } },
  ...rest,
});

const rbac = 'rbac.authorization.k8s.io';
const CONTAINERS = [{ name: 'main', image: 'example.com/main:1' }];

/** One of each kind that has something of its own to be careful with. */
export const SIMPLE_OBJECTS: readonly object[] = [
  inA('v1', 'ConfigMap', 'settings', { data: { color: 'red' }, binaryData: { raw: '/wD+' } }),
  inA('v1', 'Secret', 'password', { type: 'Opaque', stringData: { password: 'hunter2' } }),
  inA('v1', 'ServiceAccount', 'robot', {}),
  inA('v1', 'Service', 'web', {
    spec: {
      type: 'ClusterIP',
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 8080 }],
    },
  }),
  inA('v1', 'Service', 'headless', { spec: { clusterIP: 'None', ports: [{ port: 80 }] } }),
  inA('v1', 'PersistentVolumeClaim', 'data', {
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '1Gi' } },
      storageClassName: 'x',
    },
  }),
  inA(`${rbac}/v1`, 'Role', 'reader', {
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }],
  }),
  inA(`${rbac}/v1`, 'RoleBinding', 'readers', {
    roleRef: { apiGroup: rbac, kind: 'Role', name: 'reader' },
    subjects: [{ apiGroup: rbac, kind: 'User', name: 'carol' }],
  }),
  inA('example.com/v1', 'Widget', 'owner', {
    spec: { size: 9007199254740993n.toString(), parts: [{ a: 1 }] },
  }),
];

export const WORKLOADS: readonly object[] = [
  inA('apps/v1', 'Deployment', 'web', {
    spec: {
      ...{ replicas: 0, selector: { matchLabels: { app: 'web' } } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: CONTAINERS } },
    },
  }),
  inA('batch/v1', 'Job', 'once', {
    spec: {
      ...{ suspend: true, completions: 1 },
      template: {
        metadata: { labels: { app: 'once' } },
        spec: { restartPolicy: 'Never', containers: CONTAINERS },
      },
    },
  }),
  inA('v1', 'Pod', 'alone', { spec: { containers: CONTAINERS } }),
];
