import { GuardianError } from '../../guardian-error.ts';
import { concernsOneMember } from './rpc-error.ts';

/**
 * Asks one endpoint after the other until one answers. An error that another member would give as well (no permission,
 * compacted …) ends it; so does an aborted signal. When none answers, the error tells each one's reason.
 */
export async function firstToAnswer<Each, Answer>(
  endpoints: readonly Each[],
  ask: (endpoint: Each) => Promise<Answer>,
  signal: AbortSignal,
): Promise<Answer> {
  const errors: GuardianError[] = [];
  for (const endpoint of endpoints) {
    try {
      return await ask(endpoint);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof GuardianError) || !concernsOneMember(error)) throw error;
      errors.push(error);
    }
  }
  const [first] = errors;
  if (first !== undefined && errors.length === 1) throw first;
  const sameCode = errors.every((error) => error.code === first?.code);
  throw new GuardianError(
    sameCode ? (first?.code ?? 'etcd.settings') : 'etcd.unreachable',
    `none of ${errors.length} endpoints answers: ${errors.map((error) => error.message).join('; ')}`,
    {
      hint: first?.hint ?? 'give at least one endpoint',
      retryable: errors.some((error) => error.retryable),
      cause: new AggregateError(errors),
    },
  );
}
