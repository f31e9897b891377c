import type { Clock } from '../../lib/clock.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { KubeClient, KubeReference } from '../../lib/kubernetes/kube-client.ts';
import { createAuthority } from '../../lib/pki/authority.ts';
import { type AuthorityBundle, fromSecretData, toSecretData } from '../../lib/pki/authority-bundle.ts';
import type { AuthorityScope } from '../../lib/pki/identity.ts';
import { CONFIG_MAPS, type ConfigMap, OUR_LABELS, type Secret, SECRETS } from '../core-resources.ts';

/** The authorities as the Secret has them. */
export interface StoredAuthority {
  readonly bundle: AuthorityBundle;
  readonly secret: Secret;
}

export interface AuthorityStoreTools {
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly scope: AuthorityScope;
  readonly settings: { readonly authoritySecret: string; readonly trustConfigMap: string };
}

/**
 * Where the authority is kept. Everything that goes wrong with the Secret itself rejects with `controlplane.authority`,
 * which says the way out: a new authority is never made where peers trust another one.
 */
export interface AuthorityStore {
  /** Undefined: there is no Secret. */
  read(signal?: AbortSignal): Promise<StoredAuthority | undefined>;
  /**
   * Reads it; where there is none, writes `known` back, or makes the first one of this cluster. Of several who do so at
   * the same time, one wins, and all get his. Rejects with `controlplane.authority-lost` where the trust ConfigMap says
   * that peers trust one that is gone.
   */
  open(known: AuthorityBundle | undefined, signal?: AbortSignal): Promise<StoredAuthority & { made?: Made }>;
  /** Over exactly what was read; rejects with `kubernetes.conflict` otherwise. `annotations`: null takes one away. */
  write(
    over: StoredAuthority,
    bundle: AuthorityBundle,
    annotations: Readonly<Record<string, null>>,
    signal?: AbortSignal,
  ): Promise<StoredAuthority>;
}

/** What `open` did. */
export type Made = 'created' | 'put-back';

export function authorityStore({ kube, clock, scope, settings }: AuthorityStoreTools): AuthorityStore {
  const name = settings.authoritySecret;
  const { namespace } = scope;
  const reference: KubeReference = { resource: SECRETS, namespace, name };

  const parse = (secret: Secret): StoredAuthority => {
    const source = `Secret ${namespace}/${name}`;
    let bundle: AuthorityBundle;
    try {
      bundle = fromSecretData(secret.data ?? {}, source);
    } catch (error) {
      throw new GuardianError('controlplane.authority', reasonOf(error), {
        hint: `Put ${source} back as it was, from a backup of it. ${startAnew(name, settings.trustConfigMap)}`,
        cause: error,
      });
    }
    const found = bundle.signer.scope;
    if (found.cluster !== scope.cluster || found.namespace !== namespace) {
      throw new GuardianError(
        'controlplane.authority',
        `${source} holds the authority of cluster ${found.cluster}, namespace ${found.namespace}; this is cluster ${scope.cluster}`,
        { hint: `It was copied from another installation. ${startAnew(name, settings.trustConfigMap)}` },
      );
    }
    return { bundle, secret };
  };

  const read = async (signal?: AbortSignal): Promise<StoredAuthority | undefined> => {
    try {
      return parse(await kube.get<Secret>(reference, { signal }));
    } catch (error) {
      if (hasCode(error, 'kubernetes.not-found')) return undefined;
      throw error;
    }
  };

  /** Somebody trusts an authority already, as far as the API server knows. */
  const isTrusted = async (signal?: AbortSignal): Promise<boolean> => {
    try {
      const trust: KubeReference = { resource: CONFIG_MAPS, namespace, name: settings.trustConfigMap };
      const { data } = await kube.get<ConfigMap>(trust, { signal });
      return (data?.['ca.crt'] ?? '').trim() !== '';
    } catch (error) {
      if (hasCode(error, 'kubernetes.not-found')) return false;
      throw error;
    }
  };

  return {
    read,
    async open(known, signal) {
      const there = await read(signal);
      if (there !== undefined) return there;
      const trusted = await isTrusted(signal);
      if (trusted && known === undefined) {
        // Another replica may have made both since.
        const since = await read(signal);
        if (since !== undefined) return since;
        throw new GuardianError(
          'controlplane.authority-lost',
          `Secret ${namespace}/${name} with the key of our certificate authority is gone, and agents trust that authority`,
          { hint: `Put the Secret back from a backup of it. ${startAnew(name, settings.trustConfigMap)}` },
        );
      }
      const bundle = (trusted ? known : undefined) ?? {
        signer: await createAuthority(scope, clock()),
        retired: [],
      };
      try {
        const secret = await kube.create<Secret>(
          SECRETS,
          namespace,
          {
            ...{ apiVersion: 'v1', kind: 'Secret', type: 'Opaque' },
            metadata: { name, labels: OUR_LABELS },
            data: toSecretData(bundle),
          },
          { signal },
        );
        return { bundle, secret, made: trusted ? 'put-back' : 'created' };
      } catch (error) {
        if (!hasCode(error, 'kubernetes.exists')) throw error;
        const winner = await read(signal);
        if (winner !== undefined) return winner;
        throw error;
      }
    },
    async write(over, bundle, annotations, signal) {
      const secret = await kube.mergePatch<Secret>(
        reference,
        {
          metadata: { resourceVersion: over.secret.metadata.resourceVersion, annotations },
          data: {
            ...Object.fromEntries(Object.keys(over.secret.data ?? {}).map((entry) => [entry, null])),
            ...toSecretData(bundle),
          },
        },
        { signal },
      );
      return { bundle, secret };
    },
  };
}

function startAnew(secret: string, trust: string): string {
  return `Or start anew, deliberately: delete Secret ${secret} and entry ca.crt of ConfigMap ${trust}; a new authority is made then, and agents enrol again by themselves.`;
}
