import { GuardianError } from '../../guardian-error.ts';
import type { Requester } from '../api/etcd-backup-spec.ts';
import type { KubeClient } from '../kube-client.ts';
import { accessReview, type Right, rightsText } from './right.ts';

/** A right that the requester was not seen to have. */
export interface MissingRight {
  readonly right: Right;
  /** `denied`: the authorizers said no. `unknown`: they could not say, which is no yes; it may be one later. */
  readonly reason: 'denied' | 'unknown';
  /** What an authorizer had to say about it. */
  readonly detail: string | undefined;
}

/**
 * Asks the API server about each right, several at a time, and none from memory. Resolves to those that the requester
 * was not seen to have, in the order of `rights`; rejects with the signal's reason only.
 */
export async function checkRights(
  client: KubeClient,
  requester: Requester,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<readonly MissingRight[]> {
  const missing: (MissingRight | undefined)[] = rights.map(() => undefined);
  const queue = rights.entries();
  const worker = async (): Promise<void> => {
    for (const [at, right] of queue) missing[at] = await check(client, requester, right, signal);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, rights.length) }, worker));
  return missing.filter((one) => one !== undefined);
}

/** Reviews of one request at the same time. */
const AT_ONCE = 16;

/**
 * What to tell the requester: `admission.forbidden`, retryable when an authorizer might merely have been away.
 */
export function forbidden(requester: Requester, missing: readonly MissingRight[]): GuardianError {
  const groups = grouped(missing);
  const shown = groups.slice(0, MOST_SHOWN).map(sentence);
  const more = groups.length > MOST_SHOWN ? [`and ${groups.length - MOST_SHOWN} more of the kind`] : [];
  const remedies = new Set(groups.slice(0, MOST_SHOWN).map(([{ right }]) => right.remedy));
  return new GuardianError(
    'admission.forbidden',
    `user ${JSON.stringify(requester.username)} may not ${[shown.join('; may not '), ...more].join('; ')}`,
    {
      hint: `${[...remedies].join('; ')}. Or ask an administrator for a role with ${missing.length === 1 ? 'this right' : 'these rights'}.`,
      retryable: missing.every(({ reason }) => reason === 'unknown'),
    },
  );
}

const MOST_SHOWN = 5;
const LONGEST_DETAIL = 200;

/** Missing for the same reason. */
type Group = readonly [MissingRight, ...MissingRight[]];

function grouped(missing: readonly MissingRight[]): Group[] {
  const groups = new Map<string, [MissingRight, ...MissingRight[]]>();
  for (const one of missing) {
    const key = JSON.stringify([one.right.because, one.right.namespace, one.reason]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return [...groups.values()];
}

/** `get and list pods, configmaps, secrets in namespace team-a (the selector …)`. */
function sentence(group: Group): string {
  const [{ right, reason, detail }] = group;
  const unknown = reason === 'unknown' ? ', or that could not be found out' : '';
  const said = detail === undefined ? '' : `, ${detail.slice(0, LONGEST_DETAIL)}`;
  return `${rightsText(group.map((one) => one.right))} (${right.because}${unknown}${said})`;
}

async function check(
  client: KubeClient,
  requester: Requester,
  right: Right,
  signal: AbortSignal,
): Promise<MissingRight | undefined> {
  signal.throwIfAborted();
  try {
    const answer = await client.create<object>(REVIEWS, undefined, accessReview(requester, right), {
      signal,
    });
    return verdict(right, answer);
  } catch (error) {
    signal.throwIfAborted();
    // Its words are about this process and its files, and no business of the requester.
    const code = error instanceof GuardianError ? error.code : 'unknown error';
    return { right, reason: 'unknown', detail: `the API server could not be asked: ${code}` };
  }
}

/** Only a plain yes is one; a yes with an evaluation error was found without asking everybody. */
function verdict(right: Right, answer: object): MissingRight | undefined {
  const status = 'status' in answer ? answer.status : undefined;
  if (typeof status !== 'object' || status === null)
    return { right, reason: 'unknown', detail: 'the review has no status' };
  const { allowed, denied, reason, evaluationError } = status as Readonly<Record<string, unknown>>;
  if (isText(evaluationError)) return { right, reason: 'unknown', detail: evaluationError };
  if (allowed === true && denied !== true) return undefined;
  return { right, reason: 'denied', detail: isText(reason) ? reason : undefined };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

const REVIEWS = { group: 'authorization.k8s.io', version: 'v1', plural: 'subjectaccessreviews' } as const;
