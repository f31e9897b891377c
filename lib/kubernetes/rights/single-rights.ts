import type { Right } from './right.ts';

const GROUP = 'etcdguardian.io';

/** The right over everything that etcd holds; the resource is virtual, there is nothing in it. */
export function clusterRight(verb: 'backup' | 'restore', because: string, otherwise: string): Right {
  return {
    ...{ verb, group: GROUP, resource: 'etcdclusters', because },
    remedy: otherwise,
  };
}

export function hooksRight(): Right {
  return {
    ...{ verb: 'exec', group: GROUP, resource: 'etcdclusters' },
    because: 'its hooks run commands on control-plane nodes',
    remedy: 'Leave the hooks out',
  };
}

/** Who may read these in a namespace may read what a backup of it holds; `name` undefined means all namespaces. */
export function* readNamespace(name: string | undefined, count = 1): Generator<Right> {
  for (const resource of ['pods', 'configmaps', 'secrets']) {
    for (const verb of ['get', 'list']) {
      yield {
        ...{ verb, group: '', resource, namespace: name },
        because:
          name === undefined
            ? `namespaceSelector selects ${count} namespaces`
            : `namespaceSelector selects namespace ${name}`,
        remedy: 'Select only namespaces that you may read',
      };
    }
  }
}

/** What may be created there is judged by the API server, object by object, when they are. */
export function restoreNamespace(namespace: string): Right {
  return {
    ...{ verb: 'create', group: GROUP, resource: 'etcdrestores', namespace },
    because: `namespace ${namespace} is to be restored`,
    remedy: 'Name only namespaces in namespaceFilter that you may restore',
  };
}

export function readSecret(namespace: string, name: string, because: string): Right {
  return {
    ...{ verb: 'get', group: '', resource: 'secrets', namespace, name, because },
    remedy: 'Name a Secret that you may read',
  };
}

export function readObject(
  resource: 'etcdbackups' | 'etcdbackupschedules',
  namespace: string,
  name: string | undefined,
  because: string,
): Right {
  return {
    ...{ verb: 'get', group: GROUP, resource, namespace, name, because },
    remedy: 'Name a backup that you may read',
  };
}

/** The operator makes Velero's Backup, but not for someone who couldn't. */
export function veleroRight(namespace: string): Right {
  return {
    ...{ verb: 'create', group: 'velero.io', resource: 'backups', namespace },
    because: 'veleroIntegration makes a backup by Velero',
    remedy: 'Leave veleroIntegration out',
  };
}
