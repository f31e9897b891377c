import { z } from 'zod';
import type { Fence } from '../../lib/agent-api/request-parts.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { readState, stateError, writeState } from './state-file.ts';

const LONGEST_HOLDER = 256;
const schema = z.object({
  term: z.string().regex(/^\d+$/),
  holder: z.string().max(LONGEST_HOLDER),
  operation: z.string().max(LONGEST_HOLDER).default(''),
});

/** Who may change something here: the holder of the highest term that anyone took, which is on disk before it counts. */
export interface TermKeeper {
  readonly term: bigint;
  /** Empty where none was taken yet. */
  readonly holder: string;
  /** What it was taken for, as far as its holder said. */
  readonly operation: string;
  /** A term above all before, and at least this. Rejects with `restore.busy`, see `reserve`, and `agent.state`. */
  take(
    holder: string,
    atLeast: bigint,
    operation?: string,
  ): Promise<{ readonly term: bigint; readonly previousHolder: string }>;
  /**
   * Lets the call of a fence pass; a term that was taken elsewhere and is higher is kept from now on. Rejects with
   * `agent.stale-term`, `restore.busy`, see `reserve`, `agent.request` for a call without one, and `agent.state`.
   */
  admit(fence: Fence | undefined): Promise<Fence>;
  /** The same; `work` then goes on while nobody takes a term. */
  admitted<T>(fence: Fence | undefined, work: (fence: Fence) => Promise<T>): Promise<T>;
  /**
   * From now on terms are for the restore under way alone, as long as there is one: whoever comes with anything else gets
   * `restore.busy`, and the term stays, so that nobody who can't begin anyway ends what is under way.
   */
  reserve(underWay: () => string | undefined): void;
}

/** Rejects with `agent.state` where the file can't be read: terms must never begin anew by themselves. */
export async function openTermKeeper(path: string): Promise<TermKeeper> {
  return termKeeper(await read(path), ({ term, holder, operation }) =>
    writeState(path, `${JSON.stringify({ term: term.toString(), holder, operation })}\n`),
  );
}

/** The rule of terms, wherever they are kept; what `save` resolves to is safe from then on. */
export function termKeeper(kept: HeldTerm, save: (next: HeldTerm) => Promise<void>): TermKeeper {
  let held = kept;
  let underWay: () => string | undefined = () => undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  const keep = async (next: HeldTerm): Promise<void> => {
    await save(next);
    held = next;
  };
  const requireFree = (operation: string): void => {
    const other = underWay();
    if (other !== undefined && other !== operation) throw busy(other);
  };
  const admitted: TermKeeper['admitted'] = (fence, work) =>
    inTurn(async () => {
      if (fence === undefined || fence.term <= 0n || fence.term > HIGHEST) throw malformed('no term');
      const { operation, term } = fence;
      if (!OPERATION.test(operation)) throw malformed('no operation');
      if (term < held.term) throw stale(fence, held);
      requireFree(operation);
      if (term > held.term) await keep({ term, holder: '', operation });
      return await work(fence);
    });
  return {
    get term() {
      return held.term;
    },
    get holder() {
      return held.holder;
    },
    get operation() {
      return held.operation;
    },
    take: (holder, atLeast, operation = '') =>
      inTurn(async () => {
        requireFree(operation);
        const previousHolder = held.holder;
        const next = held.term + 1n;
        const term = atLeast > next ? atLeast : next;
        if (term > HIGHEST) throw malformed(`term ${term}`);
        await keep({
          ...{ term, holder: holder.slice(0, LONGEST_HOLDER) },
          operation: operation.slice(0, LONGEST_HOLDER),
        });
        return { term, previousHolder };
      }),
    admit: (fence) => admitted(fence, (same) => Promise.resolve(same)),
    admitted,
    reserve(whose) {
      underWay = whose;
    },
  };
}

export interface HeldTerm {
  readonly term: bigint;
  readonly holder: string;
  readonly operation: string;
}

/** Where another restore is under way than the one that is asked for. */
export function busy(operation: string): GuardianError {
  return new GuardianError('restore.busy', `restore ${operation} is under way on this node`, {
    hint: 'Wait until it has ended; one that was only staged, and that nobody leads any more, ends within minutes. "etcdguardian restore status" tells; "restore settle" ends one that can\'t end by itself.',
    retryable: true,
  });
}

/** Operations name files. */
const OPERATION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const HIGHEST = 2n ** 63n;

async function read(path: string): Promise<HeldTerm> {
  const text = await readState(path);
  if (text === undefined) return { term: 0n, holder: '', operation: '' };
  try {
    const { term, ...rest } = schema.parse(JSON.parse(text));
    return { term: BigInt(term), ...rest };
  } catch (error) {
    throw stateError(`${path} is not what an agent wrote; delete it only if no restore is under way`, error);
  }
}

function stale({ operation, term }: Fence, held: HeldTerm): GuardianError {
  const by = held.holder === '' ? 'someone else' : held.holder;
  return new GuardianError(
    'agent.stale-term',
    `operation ${operation} came with term ${term}, but ${by} took term ${held.term} since`,
    { hint: 'Another one leads now. Whoever believes to lead must make sure of it, and take a new term.' },
  );
}

function malformed(what: string): GuardianError {
  return new GuardianError('agent.request', `a call that changes something came with ${what}`, {
    hint: 'Take a term first, and name the operation by up to 128 of A-Z a-z 0-9 . _ -',
  });
}
