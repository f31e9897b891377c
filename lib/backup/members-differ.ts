import { GuardianError } from '../guardian-error.ts';
import type { Proof } from '../repository/manifest.ts';
import type { Prover } from './choose-source.ts';

/** What one member said of a snapshot. */
export interface MemberOpinion extends Prover {
  readonly proof: Proof;
}

/** Members that should hold the same data don't. Its code is `backup.hash-mismatch`. */
export class MembersDifferError extends GuardianError {
  /** The members that answered, the snapshot's source among them. */
  readonly heard: ReadonlySet<bigint>;
  /** Those of them that a majority outvoted; empty when there is no majority. */
  readonly outvoted: ReadonlySet<bigint>;

  constructor(message: string, hint: string, heard: ReadonlySet<bigint>, outvoted: ReadonlySet<bigint>) {
    super('backup.hash-mismatch', message, { hint });
    this.heard = heard;
    this.outvoted = outvoted;
  }
}

export interface ComparedSnapshot {
  /** The member that it came from. */
  readonly source: Prover;
  readonly memberNames: ReadonlyMap<bigint, string>;
}

/** Who agrees with whom, and whom to replace, in words. At least one of the opinions disagrees with the snapshot. */
export function membersDiffer(
  { source, memberNames }: ComparedSnapshot,
  opinions: readonly MemberOpinion[],
): MembersDifferError {
  const named = ({ endpoint, memberId }: Prover): string => {
    const name = memberNames.get(memberId) ?? '';
    return name === '' ? endpoint : `${name} (${endpoint})`;
  };
  const camps = campsOf(source, opinions);
  const heard = new Set(camps.flat().map(({ memberId }) => memberId));
  const what = `${differences(source, opinions, named)}${silence(opinions)}`;
  if (heard.size === 1)
    return new MembersDifferError(`${what}: it contradicts itself`, ALONE_HINT, heard, new Set());

  const majority = camps.find((camp) => 2 * camp.length > heard.size);
  if (majority === undefined) {
    const unclear = `${what}: which of them is wrong can't be told from these answers`;
    return new MembersDifferError(unclear, UNCLEAR_HINT, heard, new Set());
  }
  const minority = camps.filter((camp) => camp !== majority).flat();
  const conclusion = `${what}: ${list(minority.map(named))} must be replaced`;
  return new MembersDifferError(
    conclusion,
    REPLACE_HINT,
    heard,
    new Set(minority.map(({ memberId }) => memberId)),
  );
}

const ALONE_HINT =
  'there is no other member to compare with: check this machine’s memory and disk, and keep the last proven backup; --proof off backs the member up as it is';
const UNCLEAR_HINT =
  'name all members with --endpoints, raise --proof-budget, or compare "etcdctl endpoint hashkv --cluster"; replace the member that differs; --proof off backs one up as it is';
const REPLACE_HINT =
  'remove it from the cluster and add it again with an empty data dir: it then takes over what the others hold';

/** Those who hold the same, the source's camp first. Members that compacted at different revisions can't be compared. */
function campsOf(source: Prover, opinions: readonly MemberOpinion[]): Prover[][] {
  const camps = new Map<string, Prover[]>([['the snapshot', [source]]]);
  for (const opinion of opinions) {
    const { proof, memberId } = opinion;
    if (proof.kind === 'none' || memberId === source.memberId) continue;
    const camp =
      proof.kind === 'mismatch'
        ? `${proof.hash} at ${proof.revision}/${proof.compactRevision}`
        : 'the snapshot';
    camps.set(camp, [...(camps.get(camp) ?? []), opinion]);
  }
  return [...camps.values()];
}

function differences(
  source: Prover,
  opinions: readonly MemberOpinion[],
  named: (member: Prover) => string,
): string {
  let said = '';
  let last: string | undefined;
  for (const opinion of opinions) {
    const { proof } = opinion;
    if (proof.kind !== 'mismatch') continue;
    const own = `HashKV ${proof.fileHash} at revision ${proof.revision}`;
    said +=
      own === last
        ? ', '
        : `${last === undefined ? `the snapshot of ${named(source)} has` : ', and'} ${own}, but `;
    said += `${named(opinion)} answers ${proof.hash}`;
    last = own;
  }
  const agreeing = opinions.filter(({ proof }) => proof.kind !== 'mismatch' && proof.kind !== 'none');
  return agreeing.length === 0 ? said : `${said}; ${list(agreeing.map(named))} agrees with the snapshot`;
}

function silence(opinions: readonly MemberOpinion[]): string {
  return opinions.map(({ proof }) => (proof.kind === 'none' ? `; ${proof.reason}` : '')).join('');
}

function list(names: readonly string[]): string {
  return names.join(' and ');
}
