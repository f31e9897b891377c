import type { Requester } from '../api/etcd-backup-spec.ts';

/** Something that a requester must be allowed to do, in the words of a SubjectAccessReview. */
export interface Right {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  /** Left out: in all namespaces, or of a resource that has none. */
  readonly namespace?: string | undefined;
  /** Left out: whatever its name is. */
  readonly name?: string | undefined;
  /** What makes it necessary, as a clause: `the selector selects namespace team-a`. */
  readonly because: string;
  /** In one sentence, what grants it or how to do without. */
  readonly remedy: string;
}

/** `list secrets in namespace team-a`, `backup etcdclusters.etcdguardian.io`. */
export function rightText(right: Right): string {
  return rightsText([right]);
}

/** Rights in one namespace: `get and list pods, configmaps in namespace team-a`. */
export function rightsText(rights: readonly Right[]): string {
  const verbs = new Map<string, string[]>();
  for (const { verb, group, resource, name } of rights) {
    const what = `${group === '' ? resource : `${resource}.${group}`}${name === undefined ? '' : ` "${name}"`}`;
    verbs.set(what, [...(verbs.get(what) ?? []), verb]);
  }
  const resources = new Map<string, string[]>();
  for (const [what, some] of verbs) {
    const key = some.join(' and ');
    resources.set(key, [...(resources.get(key) ?? []), what]);
  }
  const [{ namespace } = { namespace: undefined }] = rights;
  const texts = [...resources].map(([key, some]) => `${key} ${some.join(', ')}`);
  return `${texts.join(', ')}${namespace === undefined ? '' : ` in namespace ${namespace}`}`;
}

/** What an API server is asked about one right of one user: the user verbatim, or the answer is about someone else. */
export function accessReview({ username, uid, groups, extra }: Requester, right: Right): object {
  const { verb, group, resource, namespace, name } = right;
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: username,
      ...(uid === undefined ? {} : { uid }),
      ...(groups === undefined ? {} : { groups }),
      ...(extra === undefined ? {} : { extra }),
      resourceAttributes: {
        ...{ verb, group, resource },
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
      },
    },
  };
}
