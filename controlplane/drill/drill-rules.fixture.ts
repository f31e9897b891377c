import { eventually } from '../../test/harness/eventually.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { NAMESPACE } from '../installation.fixture.ts';

/** No status of this EtcdBackup can be written from now on. */
export async function refuseStatusOf(kube: KubeClient, name: string): Promise<void> {
  const policies = {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    plural: 'validatingadmissionpolicies',
  };
  const rule = { apiGroups: ['etcdguardian.io'], apiVersions: ['*'], operations: ['UPDATE'] };
  await kube.create(policies, undefined, {
    metadata: { name },
    spec: {
      matchConstraints: { resourceRules: [{ ...rule, resources: ['etcdbackups/status'] }] },
      validations: [{ expression: `object.metadata.name != '${name}'`, message: 'not this one' }],
    },
  });
  await kube.create({ ...policies, plural: 'validatingadmissionpolicybindings' }, undefined, {
    metadata: { name },
    spec: { policyName: name, validationActions: ['Deny'] },
  });
  const reference = { resource: ETCD_BACKUP_RESOURCE, namespace: NAMESPACE, name, subresource: 'status' };
  await eventually('it is refused', async () => {
    const tried = kube.mergePatch(reference, { status: { message: 'x' } }, { dryRun: true });
    return tried.then(
      () => false,
      () => true,
    );
  });
}

/** Gives a user these rights. */
export async function allow(kube: KubeClient, user: string, rules: readonly object[]): Promise<void> {
  const group = 'rbac.authorization.k8s.io';
  const metadata = { name: `drills-${user}` };
  const roles = { group, version: 'v1', plural: 'clusterroles' };
  await kube.create(roles, undefined, { metadata, rules });
  await kube.create({ ...roles, plural: 'clusterrolebindings' }, undefined, {
    metadata,
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: metadata.name },
    subjects: [{ apiGroup: group, kind: 'User', name: user }],
  });
}
