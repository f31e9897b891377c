import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import type { AgentClient } from '../lib/agent-api/agent-client.ts';
import type { Fence } from '../lib/agent-api/request-parts.ts';
import type { RestoreState } from '../lib/agent-api/restore-messages.ts';
import { GuardianError, hasCode } from '../lib/guardian-error.ts';
import { commonTerm } from '../lib/restore/cluster/common-term.ts';
import { commitVerified } from '../lib/restore/cluster/coordinate-restore.ts';
import { connectNodes } from '../lib/restore/cluster/connect-nodes.ts';
import type { Participant } from '../lib/restore/cluster/participant.ts';
import {
  agentCaller,
  agentPlaces,
  type AgentOptions,
  surveyAgents,
  withAgentOptions,
} from './agent-options.ts';
import { exitCodeOf } from './exit-code.ts';
import { collect } from './option-values.ts';
import { print, table } from './output.ts';
import { reporting, type ReportOptions, withReportOptions } from './report-options.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

interface SettleOptions extends AgentOptions, ReportOptions {
  readonly commit?: boolean;
  readonly rollBack?: boolean;
  readonly notServing?: boolean;
  readonly without: readonly string[];
}

export function restoreSettleCommand(session: Session): Command {
  const command = new Command('settle')
    .summary('decide a restore whose other nodes never come back')
    .description(
      `Nodes that lost their coordinator after they had voted wait for what the others
tell, since one of those may have committed. Where such a node is lost for good,
a person has to decide for it: --commit keeps the restored data, --roll-back the
old. A node that was named with --without must not come back with its disk as it
is: wipe its etcd, and add it as a new member.

Where all nodes answer, --commit works as long as none of them has given up. Those
that have all given up go back by themselves, and can't be committed any more.

What any node that answers has decided already stands, and can't be decided
otherwise. Who decided is written into the journals.

A node that goes back goes on until etcd serves its old data again. Where it never
will, --roll-back --not-serving ends that: the old data is in its place, what had
been restored is kept beside it until "restore clean-up", and another restore may
begin. Nodes that aren't going back yet go back first: say it again then.`,
    )
    .argument('<operation>', 'the restore, as "restore status" names it')
    .addOption(new Option('--commit', 'go on with the restored data').conflicts('rollBack'))
    .option('--roll-back', 'go back to the old data')
    .addOption(
      new Option(
        '--not-serving',
        'with --roll-back: don’t wait any more for an etcd that never serves its old data',
      ).conflicts('commit'),
    )
    .option('--without <node>', 'don’t wait for this node; may be repeated', collect, []);
  return withReportOptions(withAgentOptions(command)).action(
    async (operation: string, options: SettleOptions) => {
      if (options.commit !== true && options.rollBack !== true)
        throw new GuardianError('usage.settle', 'it is not said how to settle it', {
          hint: 'say --commit for the restored data, or --roll-back for the old; "restore status" shows what each node has',
        });
      const notServing = options.notServing === true;
      const by = `${userName()}@${hostname()}`;
      // As the coordinator would have; where that can't be, the nodes say why.
      const isCommitted = options.commit === true && options.without.length === 0;
      await onAllNodes(
        session,
        options,
        operation,
        (agent, fence) =>
          agent.settle(
            { fence, commit: options.commit === true, withoutNodes: options.without, by, notServing },
            { signal: session.terminal.signal, timeoutMs: LONG_MS },
          ),
        isCommitted
          ? async (participants) => {
              const { signal } = session.terminal;
              const tools = { holder: `cli/${by}`, isOurs: () => false, onStep: () => undefined, signal };
              await commitVerified({ operation }, participants, tools);
            }
          : undefined,
      );
    },
  );
}

export function restoreCleanUpCommand(session: Session): Command {
  const command = new Command('clean-up')
    .summary('remove the old data that a restore has kept on the nodes')
    .description(
      `Frees the room that the data before the restore takes on each node; agents do it
by themselves after a week. There is no way back to that data then.`,
    )
    .argument('<operation>', 'the restore, as "restore status" names it');
  return withReportOptions(withAgentOptions(command)).action(
    async (operation: string, options: AgentOptions & ReportOptions) => {
      await onAllNodes(session, { ...options, without: [] }, operation, (agent, fence) =>
        agent.cleanUp({ fence }, { signal: session.terminal.signal, timeoutMs: LONG_MS }),
      );
    },
  );
}

const LONG_MS = 600_000;

type Call = (agent: AgentClient, fence: Fence) => Promise<RestoreState>;

/** Takes a term from all nodes that know of the restore, and calls each; tells what came of it. */
async function onAllNodes(
  session: Session,
  options: SettleOptions,
  operation: string,
  call: Call,
  before?: (participants: readonly Participant[]) => Promise<void>,
): Promise<void> {
  const { terminal } = session;
  const { signal } = terminal;
  const report = reporting(session, options);
  const caller = await agentCaller(session, options);
  const facts = await surveyAgents(agentPlaces(options), caller, signal);
  const places = facts.filter(({ description }) =>
    description?.restores.some((restore) => restore.operation === operation),
  );
  for (const { node, problem } of facts)
    if (problem !== undefined) report.progress.say(`warning: ${node} doesn't answer: ${problem.message}`);
  if (places.length === 0)
    throw new GuardianError('restore.unknown', `no node that answers knows of a restore ${operation}`, {
      hint: '"etcdguardian restore status --all" lists what they know.',
    });
  using connected = connectNodes(places, caller);
  const { agents, participants } = connected;
  await before?.(participants);
  const term = await termOf(agents, operation, signal);
  const fence = { operation, term };
  const first = await Promise.allSettled(agents.map((agent) => call(agent, fence)));
  // Who was asked before the others had settled may do it now.
  const ends = await Promise.all(
    first.map(async (end, at) => {
      const agent = agents[at];
      if (end.status === 'fulfilled' || agent === undefined || !hasCode(end.reason, 'restore.peers-away'))
        return end;
      const [again] = await Promise.allSettled([call(agent, fence)]);
      return again;
    }),
  );
  const rows = ends.map((end, at) => rowOf(agents[at]?.node ?? '', end));
  print(terminal, report.format, { operation, nodes: rows }, () =>
    table(
      ['NODE', 'STATE', 'WHAT'],
      rows.map(({ node, state, message }) => [node, state, message]),
    ),
  );
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) session.exitCode = exitCodeOf(failed.reason);
}

async function termOf(
  agents: readonly AgentClient[],
  operation: string,
  signal: AbortSignal,
): Promise<bigint> {
  const holder = `cli/${userName()}@${hostname()}`;
  const { term, taken } = await commonTerm(
    (atLeast) =>
      Promise.allSettled(
        agents.map(async (agent) => (await agent.takeTerm({ holder, atLeast, operation }, { signal })).term),
      ),
    1n,
  );
  const failed = taken.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return term;
}

function rowOf(
  node: string,
  end: PromiseSettledResult<RestoreState>,
): { readonly node: string; readonly state: string; readonly message: string } {
  if (end.status === 'fulfilled') return { node, state: end.value.state, message: end.value.message };
  const error: unknown = end.reason;
  if (!(error instanceof GuardianError)) return { node, state: 'failed', message: String(error) };
  const hint = error.hint === undefined ? '' : ` (${error.hint})`;
  return { node, state: 'failed', message: `${error.message} [${error.code}]${hint}` };
}
