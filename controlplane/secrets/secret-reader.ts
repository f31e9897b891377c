import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { Requester } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';
import { type Secret, SECRETS } from '../core-resources.ts';
import type { ControlPlaneTools } from '../tools.ts';

/** Who reads, and where. */
export interface SecretsOf {
  readonly namespace: string;
  /** Undefined: nobody stamped the resource, which then must be of our own namespace. */
  readonly requester: Requester | undefined;
}

/** A Secret as it is now. */
export interface ReadSecret {
  /** Names it in messages: `Secret prod/s3-credentials`. */
  readonly from: string;
  readonly entries: ReadonlyMap<string, Buffer>;
  /** An error about what it holds; `what` goes on from its name and never quotes a value. */
  malformed(what: string, hint: string): GuardianError;
}

/** Reads Secrets of one namespace with one user's rights; see `readRunSecrets` for the errors. */
export interface SecretReader {
  /** `field` of the spec names it, for messages. */
  read(name: string, field: string, signal: AbortSignal): Promise<ReadSecret>;
  /** One entry of a Secret, given as `NAME` or `NAME/ENTRY`, which must be PEM. */
  pem(reference: string, entry: string, field: string, signal: AbortSignal): Promise<string>;
}

export function secretReader(
  tools: Pick<ControlPlaneTools, 'kube' | 'namespace'>,
  { namespace, requester }: SecretsOf,
): SecretReader {
  const read: SecretReader['read'] = async (name, field, signal) => {
    const from = `Secret ${namespace}/${name}`;
    try {
      const client = clientFor(tools, { namespace, requester });
      const secret = await client.get<Secret>({ resource: SECRETS, namespace, name }, { signal });
      return readSecret(from, secret);
    } catch (error) {
      signal.throwIfAborted();
      throw told(error, from, field, requester?.username);
    }
  };
  return {
    read,
    async pem(reference, defaultEntry, field, signal) {
      const [name = '', entry = defaultEntry] = reference.split('/');
      const secret = await read(name, field, signal);
      const text = secret.entries.get(entry)?.toString('utf8');
      if (text === undefined) throw secret.malformed(`has no key ${entry}`, keysHint(secret, field));
      if (!/-----BEGIN [A-Z ]+-----/.test(text))
        throw secret.malformed(`has no PEM in key ${entry}`, `${field} takes PEM, as files of etcd have it.`);
      return text;
    },
  };
}

/** Its names of keys, as far as they fit. */
export function keysHint({ entries }: ReadSecret, field: string): string {
  const names = [...entries.keys()].slice(0, 10).map((name) => JSON.stringify(name));
  const has = names.length === 0 ? 'It is empty' : `It has ${names.join(', ')}`;
  return `${has}; correct the Secret, or name another one in ${field}.`;
}

function clientFor({ kube, namespace: ours }: SecretTools, { namespace, requester }: SecretsOf): KubeClient {
  if (requester !== undefined) return kube.as(requester);
  if (namespace === ours) return kube;
  throw noRequester(namespace, ours);
}

/**
 * Throws `controlplane.no-requester` for a stamp that nobody checked when it was sent: whoever wrote it may be anybody.
 */
export function requireVouched(
  { settings, namespace: ours }: Pick<ControlPlaneTools, 'settings' | 'namespace'>,
  namespace: string,
): void {
  if (settings.admission === 'on' || namespace === ours) return;
  throw new GuardianError(
    'controlplane.no-requester',
    `nobody vouches for requestedBy: admission is off, and this is of namespace ${namespace}`,
    {
      hint: `Turn the admission webhook on (webhook.enabled in the chart) and make it again; without it only resources of namespace ${ours} are worked on.`,
    },
  );
}

/** Without a stamp nobody's rights can be asked for. */
export function noRequester(namespace: string, ours: string): GuardianError {
  return new GuardianError(
    'controlplane.no-requester',
    `nobody is known to have asked for this: it has no requestedBy, and is of namespace ${namespace}`,
    {
      hint: `Make it again while the admission webhook runs, which stamps it; without the webhook only resources of namespace ${ours} are worked on.`,
    },
  );
}

type SecretTools = Pick<ControlPlaneTools, 'kube' | 'namespace'>;

function readSecret(from: string, { data = {} }: Secret): ReadSecret {
  return {
    from,
    entries: new Map(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64')])),
    malformed: (what, hint) =>
      new GuardianError('controlplane.secret-malformed', `${from} ${what}`, { hint }),
  };
}

function told(error: unknown, from: string, field: string, username: string | undefined): unknown {
  if (hasCode(error, 'kubernetes.not-found')) {
    return new GuardianError('controlplane.secret-missing', `${from} doesn't exist; ${field} names it`, {
      hint: 'Create it in the namespace of the resource, then create the resource again.',
      cause: error,
    });
  }
  if (hasCode(error, 'kubernetes.forbidden') || hasCode(error, 'kubernetes.invalid')) {
    const who = username === undefined ? 'the control plane' : `user ${JSON.stringify(username)}`;
    return new GuardianError(
      'controlplane.secret-denied',
      `${who} may not read ${from}, which ${field} names: ${reasonOf(error)}`,
      { hint: 'Name a Secret that whoever asked for the backup may get, or grant that right.', cause: error },
    );
  }
  return error;
}
