import type { VerifierThread } from '../etcd/mvcc/verifier-thread.ts';
import type { SnapshotVerdictData } from '../etcd/mvcc/snapshot-verdict.ts';
import { GuardianError } from '../guardian-error.ts';
import type { Proof } from '../repository/manifest.ts';
import type { ChosenSource, Prover } from './choose-source.ts';
import { compareMembers, type ComparisonRequest } from './compare-members.ts';
import { DEFAULT_PROOF_BUDGET, type ProvingClient } from './prove.ts';

/** `off` asks no member; `auto` asks within the budget and says what could not be proven; `required` fails then. */
export interface ProofPolicy {
  readonly mode: 'off' | 'auto' | 'required';
  /** For every member, whatever its role. Left out: `DEFAULT_PROOF_BUDGET`. */
  readonly budgetBytes?: number | undefined;
  /**
   * How long to wait for the cluster's next compaction, whose hash members keep at no cost, before a member is asked to
   * compute one. kube-apiserver compacts every 5 minutes. Default 0.
   */
  readonly waitMs?: number | undefined;
  /**
   * Whether members that no endpoint leads to may be asked at the addresses that the cluster lists. Default true; to be
   * turned off where the cluster is not trusted, since its list could name any address.
   */
  readonly listedMembers?: boolean | undefined;
}

export interface SnapshotToProve {
  readonly source: ChosenSource;
  /** Who streamed it: behind a load balancer not always whom the source's status came from. */
  readonly sender: Prover;
  readonly verifier: Pick<VerifierThread, 'hashKVAt'>;
  readonly verdict: SnapshotVerdictData;
}

/**
 * Proves a snapshot as far as the policy wants it. Rejects with `backup.unproven` where it wants more than can be had,
 * and with a `MembersDifferError`.
 */
export async function proveByPolicy(
  policy: ProofPolicy,
  client: ProvingClient,
  { source, sender, verifier, verdict }: SnapshotToProve,
  options: Pick<ComparisonRequest, 'everyone' | 'onAsk' | 'clock' | 'signal'>,
): Promise<Proof> {
  if (policy.mode === 'off') return { kind: 'none', reason: 'no proof was asked for' };
  const { budgetBytes, waitMs = 0 } = policy;
  const snapshot = { verdict, hashKVAt: verifier.hashKVAt.bind(verifier) };
  const proof = await compareMembers(client, snapshot, {
    ...options,
    source: sender,
    others: source.provers.filter(({ memberId }) => memberId !== sender.memberId),
    memberNames: source.memberNames,
    budget:
      budgetBytes === undefined
        ? DEFAULT_PROOF_BUDGET
        : { followerBytes: budgetBytes, leaderBytes: budgetBytes },
    waitMs,
  });
  if (proof.kind === 'none' && policy.mode === 'required') {
    throw new GuardianError('backup.unproven', `the snapshot could not be proven: ${proof.reason}`, {
      hint: 'try again, wait for a compaction (--proof-wait 6m), raise the proof budget, or let it be committed unproven with --proof auto',
    });
  }
  return proof;
}
