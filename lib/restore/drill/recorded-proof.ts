import type { HashKV } from '../../etcd/client/etcd-client.ts';
import type { HashJudgement } from '../../repository/kept-hashes.ts';
import type { SoundBackup } from '../../repository/repository.ts';
import type { Check } from './drill-report.ts';

/**
 * The evidence that came with a restore point: what a live member answered when its base was taken, and what members had
 * kept of what was captured behind it. The restore has compared the data with it by now, or has refused. Where it is of
 * the very revision that etcd has now `answered` for, one etcd's answer is compared with the other's.
 */
export function recordedProof(
  { manifest }: Pick<SoundBackup, 'manifest'>,
  judged: HashJudgement | undefined,
  answered: Pick<HashKV, 'hash' | 'hashRevision' | 'compactRevision'>,
): { readonly checks: Check[]; readonly warnings: string[] } {
  const { proof } = manifest;
  const checks: Check[] = [];
  const warnings: string[] = [];
  if (proof.kind === 'none') {
    warnings.push(
      `no member was asked for its hash when the backup was taken (${proof.reason}): that its data was the cluster's is not proven`,
    );
  } else if (proof.kind === 'mismatch') {
    checks.push({
      name: 'the backup equals the live cluster',
      passed: false,
      detail: `member ${proof.memberId.toString(16)} answered HashKV(${proof.revision}) = ${proof.hash}, and the backup has ${proof.fileHash}`,
    });
  } else {
    const same =
      proof.revision === answered.hashRevision && proof.compactRevision === answered.compactRevision;
    const when = `as member ${proof.memberId.toString(16)} of the live cluster answered at ${proof.provenAt.toISOString()}`;
    checks.push({
      name: same ? 'etcd answers what the live cluster answered' : 'the backup equals the live cluster',
      passed: !same || proof.hash === answered.hash,
      detail:
        same && proof.hash !== answered.hash
          ? `HashKV(${proof.revision}) is ${answered.hash} here, and was ${proof.hash}, ${when}`
          : `HashKV(${proof.revision}) = ${proof.hash}, ${when}`,
    });
  }
  if (judged !== undefined && judged.matched.length > 0) {
    const revisions = judged.matched.map(({ revision }) => revision);
    checks.push({
      name: 'what was captured equals what members had kept',
      passed: true,
      detail: `${judged.matched.length} hashes, the newest of revision ${revisions.at(-1) ?? 0n}`,
    });
  }
  return { checks, warnings };
}
