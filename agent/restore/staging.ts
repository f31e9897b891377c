import type { Sent } from '../../lib/agent-api/fields.ts';
import type { Fence } from '../../lib/agent-api/request-parts.ts';
import type { StageRequest } from '../../lib/agent-api/restore-messages.ts';
import type { TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { Journal, JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { stageOf } from '../../lib/restore/cluster/restore-states.ts';
import type { PartTools } from '../agent-part.ts';
import { problemOf } from '../errors-on-wire.ts';
import { accessOf, knownPointsOf, spoolOf } from '../tasks/task-request.ts';
import { dirsOf } from './member-data.ts';
import type { NodeServices } from './node-services.ts';
import type { Steps } from './steps.ts';
import { etcdOfNode, graftsOf, planOfRequest, planText } from './plan-of-request.ts';

export interface StageParts {
  readonly tools: PartTools;
  readonly journal: Journal;
  readonly steps: Pick<Steps, 'inTurn'>;
}

/** The entry of a restore that begins, or has staged the very same; it is on disk, and nobody took a term meanwhile. */
export async function begun(
  request: StageRequest,
  { operation, term }: Fence,
  {
    tools,
    journal,
    services,
  }: Omit<StageParts, 'steps'> & { readonly services: (entry: JournalEntry) => NodeServices },
): Promise<JournalEntry> {
  const plan = planOfRequest(request);
  const before = journal.find(operation);
  const written = async (entry: JournalEntry): Promise<JournalEntry> => {
    await tools.terms.admitted(request.fence, () => journal.write(entry));
    return entry;
  };
  if (before !== undefined && stageOf(before.state) !== 'before' && before.state !== 'Failed')
    throw new GuardianError('restore.order', `restore ${operation} is ${before.state} here already`, {
      hint: 'It happens once. Ask for its status; for another one, create another EtcdRestore.',
    });
  const now = tools.clock().getTime();
  // Its coordinator may be gone before it has said once that it is there.
  const heldMs = now + request.holdMs;
  const deadlineMs = request.holdMs > 0 ? Math.min(heldMs, request.deadlineMs) : request.deadlineMs;
  const samePlan = before !== undefined && planText(before.plan) === planText(plan);
  if (samePlan && before.state !== 'Failed') {
    return await written({ ...before, term, deadlineMs, sinceMs: now });
  }
  const { place, client } = await tools.etcd.current();
  const entry: JournalEntry = {
    ...{ format: 1, operation, term, state: 'Staging', furthest: 'Staging', sinceMs: now, message: '' },
    ...{ subject: request.subject, deadlineMs, plan, etcd: etcdOfNode(place) },
  };
  // What couldn't be stopped later is found out now.
  const { etcd, apiServers } = services(entry);
  for (const service of [etcd, ...(plan.quiesce ? apiServers : [])]) await service.isStopped();
  dirsOf(entry);
  const status = await client
    .status(client.endpoints[0] ?? '', { signal: tools.signal, timeoutMs: ASK_MS })
    .catch(() => undefined);
  if (status !== undefined && status.header.revision >= plan.bumpTo)
    throw new GuardianError(
      'restore.bump',
      `etcd serves revision ${status.header.revision}, and the restored one would begin at ${plan.bumpTo}`,
      { hint: 'Restore again: the plan was made from an older state.', retryable: true },
    );
  return await written(entry);
}

const ASK_MS = 3_000;

/** Makes the data of an entry that has begun, and notes what came of it. Rejects with what went wrong, noted too. */
export async function staging(
  signal: AbortSignal,
  request: StageRequest,
  entry: JournalEntry,
  tell: (update: Sent<TaskUpdate>) => void,
  { tools, journal, steps }: StageParts,
): Promise<Sent<TaskUpdate>> {
  const { settings, clock, log, etcd } = tools;
  const { operation } = entry;
  const note = (change: Partial<JournalEntry>): Promise<JournalEntry> =>
    steps.inTurn(async () => {
      // Its deadline moves while somebody leads it. Given up meanwhile: what the journal says stands.
      const now = journal.find(operation);
      if (now?.state !== 'Staging') throw givenUp(operation);
      const next = { ...now, ...change, sinceMs: clock().getTime() };
      await journal.write(next);
      return next;
    });
  try {
    const { client } = await etcd.current();
    const etcdVersion = await client
      .status(client.endpoints[0] ?? '', { signal, timeoutMs: ASK_MS })
      .then(({ version }) => version)
      .catch(() => undefined);
    const name = entry.plan.members.find(({ node }) => node === settings.node)?.name ?? '';
    const { stageMember } = await import('./stage-member.ts');
    const staged = await stageMember(
      {
        plan: entry.plan,
        name,
        dirs: dirsOf(entry),
        etcdVersion,
        access: accessOf(request),
        grafts: graftsOf(request),
      },
      {
        ...{ clock, signal, spool: spoolOf(settings), knownPoints: knownPointsOf(settings) },
        onWarning: (message) => {
          log.write('warning', 'restore-trouble', message, { operation });
        },
        onProgress: (message, doneBytes, totalBytes) => {
          tell({ step: 'Staging', message, doneBytes, totalBytes });
        },
      },
    );
    await note({ state: 'Staged', furthest: 'Staged', staged });
    return { step: 'Staging', message: 'staged', stage: { ...staged } };
  } catch (error) {
    // The agent goes down: the one that comes up is asked again.
    tools.signal.throwIfAborted();
    if (journal.find(operation)?.state === 'Staging')
      await note({ state: 'Failed', problem: problemOf(error) });
    throw error;
  }
}

function givenUp(operation: string): GuardianError {
  return new GuardianError('restore.cancelled', `restore ${operation} was given up while it was staged`, {
    hint: 'Restore again.',
  });
}
