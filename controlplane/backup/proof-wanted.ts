import type { BackupValidation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';

/**
 * Whether a live member is asked for its hash. Where it can't be had the backup stands and its status says so; a hash
 * that differs always fails it.
 */
export function proofWanted({ enabled, consistencyCheck }: BackupValidation): 'None' | 'IfPossible' {
  return enabled && consistencyCheck ? 'IfPossible' : 'None';
}
