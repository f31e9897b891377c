import type { GuardianError } from '../../guardian-error.ts';
import type { Requester } from '../api/etcd-backup-spec.ts';
import type { KubeClient } from '../kube-client.ts';
import { checkRights, forbidden } from './check-rights.ts';
import {
  type Asked,
  isNamespaced,
  requiredRights,
  type RightsSettings,
  selectsAll,
  type Surroundings,
} from './required-rights.ts';
import { type Freshness, readSurroundings } from './surroundings.ts';

export interface Judgement {
  /** `admission.forbidden` with every missing right in words; undefined: the requester may. */
  readonly refusal: GuardianError | undefined;
  /** What was found while judging; a run goes on with this, not with what it finds later. */
  readonly surroundings: Surroundings;
  /** What is reached: the whole cluster, or these namespaces. */
  readonly scope: 'cluster' | readonly string[];
}

/**
 * Whether this requester may have what is asked, now. Admission asks it for what is sent, and each run again for what it
 * is about to do; a run that already knows what its namespaces and its source are passes them in. `ask` is told how
 * many reviews that takes, before they are made, and may throw. Rejects with
 * `KubeClient`'s codes and `admission.selector`: who can't find out must not go on.
 */
export async function judgeRights(
  client: KubeClient,
  requester: Requester,
  asked: Asked,
  settings: RightsSettings,
  signal: AbortSignal,
  known: Surroundings | Freshness = 'now',
  ask: (questions: number) => void = () => undefined,
): Promise<Judgement> {
  const surroundings =
    typeof known === 'string' ? await readSurroundings(client, asked, signal, known) : known;
  const rights = requiredRights(asked, surroundings, settings);
  ask(rights.length);
  const missing = await checkRights(client, requester, rights, signal);
  return {
    refusal: missing.length === 0 ? undefined : forbidden(requester, missing),
    surroundings,
    scope: scopeOf(asked, surroundings),
  };
}

function scopeOf(asked: Asked, { namespaces, source }: Surroundings): 'cluster' | readonly string[] {
  switch (asked.kind) {
    case 'EtcdBackup':
      return selectsAll(asked.spec.namespaceSelector) ? 'cluster' : namespaces;
    case 'EtcdBackupSchedule':
      return selectsAll(asked.spec.backupTemplate.spec.namespaceSelector) ? 'cluster' : namespaces;
    case 'EtcdRestore': {
      const { namespaceFilter = [] } = asked.spec;
      if (!isNamespaced(asked.spec, source)) return 'cluster';
      return namespaceFilter.length > 0 ? namespaceFilter : namespaces;
    }
  }
}
