import type { Clock } from '../clock.ts';
import type { Proof } from '../repository/manifest.ts';
import type { Prover } from './choose-source.ts';
import { membersDiffer, type MemberOpinion } from './members-differ.ts';
import { type HashedSnapshot, type ProofBudget, proveSnapshot, type ProvingClient } from './prove.ts';

export interface ComparisonRequest {
  /** The member that the snapshot came from. */
  readonly source: Prover;
  /** Those to ask, in this order. */
  readonly others: readonly Prover[];
  readonly memberNames: ReadonlyMap<bigint, string>;
  /** Ask all of them, also when the first one agrees: members are known to differ. */
  readonly everyone: boolean;
  readonly budget: ProofBudget;
  /** See `ProofRequest`; for all of them together. */
  readonly waitMs: number;
  readonly onAsk: (endpoint: string) => void;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Proves a snapshot by the first member that agrees with it; the source is asked itself only where no other answers.
 * When one disagrees all are asked: the majority of those that answered, the snapshot counted as its source's voice,
 * decides. With the majority the snapshot is proven, and the proof names the outvoted.
 *
 * Rejects with a `MembersDifferError` where the snapshot is in the minority, or nobody in the majority.
 */
export async function compareMembers(
  client: ProvingClient,
  snapshot: HashedSnapshot,
  request: ComparisonRequest,
): Promise<Proof> {
  const { source, others, everyone, clock, budget, signal } = request;
  const waitUntil = performance.now() + request.waitMs;
  const ask = async (prover: Prover): Promise<MemberOpinion> => {
    request.onAsk(prover.endpoint);
    const waitMs = Math.max(0, waitUntil - performance.now());
    const { endpoint } = prover;
    return {
      ...prover,
      proof: await proveSnapshot(client, snapshot, { endpoint, budget, waitMs, clock, signal }),
    };
  };

  // 1. The others, until one agrees.
  const opinions: MemberOpinion[] = [];
  for (const prover of others) {
    const opinion = await ask(prover);
    opinions.push(opinion);
    if (agrees(opinion) && !everyone && !opinions.some(disagrees)) return opinion.proof;
  }
  // 2. Where nobody else can tell, the source.
  if (!opinions.some((opinion) => agrees(opinion) || disagrees(opinion))) {
    const own = await ask(source);
    if (disagrees(own)) throw membersDiffer(request, [own]);
    return own.proof.kind === 'none' ? noneCouldTell([...opinions, own]) : own.proof;
  }
  // 3. A vote.
  const [agreeing] = opinions.filter(agrees);
  const outvoted = opinions.filter(disagrees);
  const voices = opinions.filter((opinion) => agrees(opinion) || disagrees(opinion)).length + 1;
  const isMajority = 2 * (voices - outvoted.length) > voices;
  if (agreeing === undefined || !isMajority) throw membersDiffer(request, opinions);
  if (outvoted.length === 0) return agreeing.proof;
  return {
    ...agreeing.proof,
    outvoted: outvoted.map(({ memberId, endpoint, proof: { hash } }) => ({ memberId, endpoint, hash })),
  };
}

type Agreement = Extract<Proof, { kind: 'live-hashkv' | 'compaction-hashkv' }>;
type Disagreement = Extract<Proof, { kind: 'mismatch' }>;

function agrees(opinion: MemberOpinion): opinion is MemberOpinion & { readonly proof: Agreement } {
  return opinion.proof.kind === 'live-hashkv' || opinion.proof.kind === 'compaction-hashkv';
}

function disagrees(opinion: MemberOpinion): opinion is MemberOpinion & { readonly proof: Disagreement } {
  return opinion.proof.kind === 'mismatch';
}

function noneCouldTell(opinions: readonly MemberOpinion[]): Proof {
  const reasons = opinions.flatMap(({ proof }) => (proof.kind === 'none' ? [proof.reason] : []));
  return { kind: 'none', reason: reasons.join('; ') };
}
