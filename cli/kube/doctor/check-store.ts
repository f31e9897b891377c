import type { Clock } from '../../../lib/clock.ts';
import { GuardianError } from '../../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../../lib/kubernetes/api/etcd-backup.ts';
import type { KubeClient } from '../../../lib/kubernetes/kube-client.ts';
import { locationText } from '../storage-options.ts';
import { openStored } from '../stored-repository.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

export interface CheckStore {
  readonly systemNamespace: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Whether the last good backup still lies where it was stored, and is signed as it should be. */
export async function checkStore(
  client: KubeClient,
  backup: EtcdBackup | undefined,
  { systemNamespace, clock, signal }: CheckStore,
): Promise<Finding> {
  const check = 'store';
  if (backup === undefined) return { check, state: 'unknown', message: 'no backup says where one is' };
  const { metadata, spec, status } = backup;
  const { storageLocation, encryption } = spec;
  const where = locationText(storageLocation);
  const timeoutSignal = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const { repository, unchecked } = await openStored(
      client,
      { namespace: metadata.namespace ?? '', storageLocation, encryption },
      systemNamespace,
      { clock, signal: timeoutSignal },
    );
    const { cluster, chain } = status?.restorePoint ?? {};
    if (cluster === undefined || chain === undefined) return ok(check, `${where} answers`);
    await repository.find(cluster, chain, { signal: timeoutSignal });
    if (unchecked !== undefined)
      return warn(
        check,
        `${where} holds it, but signatures could not be checked: ${unchecked}`,
        'Run the doctor as someone who may read that.',
      );
    const sealed = encryption.enabled ? '' : '; it is NOT encrypted there';
    return ok(check, `${where} holds ${chain}, signed as it should be${sealed}`);
  } catch (error) {
    signal.throwIfAborted();
    if (timeoutSignal.aborted)
      return fail(
        check,
        `${where} gave no answer within ${TIMEOUT_MS / 1000} s`,
        'Is it up, and reachable from here?',
      );
    if (!(error instanceof GuardianError)) throw error;
    const { code, message, hint } = error;
    if (['kubernetes.forbidden', 'store.elsewhere'].includes(code)) return unknown(check, error);
    const lost = ['repository.not-found', 'repository.removed'].includes(code);
    return fail(
      check,
      `${where}: ${message} [${code}]`,
      hint ??
        (lost
          ? 'Someone removed it from there: make a backup now.'
          : 'See what the message says of the store.'),
    );
  }
}

const TIMEOUT_MS = 20_000;
