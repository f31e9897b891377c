import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { type ClusterPlan, planClusterRestore } from '../lib/restore/cluster/cluster-plan.ts';
import { connectNodes, type NodeCaller } from '../lib/restore/cluster/connect-nodes.ts';
import { coordinateRestore, type RestoreOrder } from '../lib/restore/cluster/coordinate-restore.ts';
import type { NodeFacts } from '../lib/restore/cluster/node-facts.ts';
import { recordRestore } from '../lib/restore/cluster/record-restore.ts';
import {
  agentCaller,
  agentPlaces,
  type AgentOptions,
  surveyAgents,
  withAgentOptions,
} from './agent-options.ts';
import { collect } from './option-values.ts';
import { count, print } from './output.ts';
import {
  type AcceptOptions,
  type PointOptions,
  withAcceptedMismatches,
  withPointOptions,
} from './point-options.ts';
import type { ProgressLine } from './progress-line.ts';
import { reporting, type Reporting, type ReportOptions, withReportOptions } from './report-options.ts';
import { type RepositoryOptions, storeSettings, withRepositoryOptions } from './repository-options.ts';
import { keysForAgents, pointFacts, storeForAgents } from './restore-cluster-order.ts';
import { ownValue, RestoreTelling, tellOutcome } from './restore-cluster-text.ts';
import { encryptionLines } from './restore-encryption.ts';
import { fromBackup, type RestoreInput } from './restore-input.ts';
import { type KeptOwn, keptOwn, type OwnOptions, withOwnOptions } from './restore-own.ts';
import type { Session } from './session.ts';
import { userName } from './user-name.ts';

interface ClusterOptions
  extends RepositoryOptions, PointOptions, AcceptOptions, AgentOptions, OwnOptions, ReportOptions {
  readonly backup?: string;
  readonly without: readonly string[];
  readonly quiesce: boolean;
  readonly allowVersionMismatch?: boolean;
  readonly allowOlder?: boolean;
  readonly yes?: boolean;
  readonly plan?: boolean;
}

export function restoreClusterCommand(session: Session): Command {
  const command = new Command('cluster')
    .summary('restore all members at once by their agents, with no API server')
    .description(
      `Leads the restore of a whole control plane by the agents on its nodes, as an
EtcdRestore does, without needing an API server: everything is fetched and
verified beside the present data first; then API servers and etcd stop, the data
is swapped, etcd starts and must answer the hash that was computed before; then
the API servers start. A failure before the end puts everything back. The old
data is kept on each node.

Without --yes it only tells the plan: everything that was checked, what would
happen, and what is newer than the restore point and would be lost. With it,
Ctrl-C costs nothing until the first API server is stopped; after that, it goes
on to its end.

  etcdguardian restore cluster --agent cp1=10.0.0.1 --credentials break-glass \\
    --store s3://b/p --key-file guardian.key [--to-time 14:05]

EtcdGuardian itself stays as it is now, whatever the restored data knows of it:
what it has is read from an etcd that still serves, and put on top. Where none
does, it comes back as the restored data has it, unless --own-from names a
snapshot of "etcdguardian rescue". The plan says which.

Agents fetch from the store themselves: with AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY of this environment, else by their own identity.

With no agent alive: "etcdguardian restore node" on each node.`,
    )
    .addOption(
      new Option('--backup <id>', 'this backup (default: the newest restore point)').conflicts([
        'toRevision',
        'toTime',
      ]),
    )
    .option(
      '--without <node>',
      "leave out a node that can't be reached; its etcd must be wiped and added again later; may be repeated",
      collect,
      [],
    )
    .option('--no-quiesce', 'stop no API server: only where none uses this etcd')
    .option(
      '--allow-version-mismatch',
      'restore though the backup is of another version of etcd, where that can work',
    )
    .option('--allow-older', 'accept that the store holds only older backups than this machine has seen')
    .addOption(new Option('--plan', 'tell what would happen, and end (the default)').conflicts('yes'))
    .option('--yes', 'do what the plan says');
  withOwnOptions(withAgentOptions(withRepositoryOptions(withAcceptedMismatches(withPointOptions(command)))));
  return withReportOptions(command).action(async (options: ClusterOptions) => {
    await restoreCluster(session, options);
  });
}

async function restoreCluster(session: Session, options: ClusterOptions): Promise<void> {
  const { terminal } = session;
  const { signal } = terminal;
  const report = reporting(session, options);
  const named = agentPlaces(options);
  const caller = await agentCaller(session, options);

  // 1. What is there, and what is asked.
  const input = await fromBackup(session, { ...options, record: true }, report.progress);
  const keys = await keysForAgents(options, session);
  const nodes = await surveyAgents(named, caller, signal);
  const operation = `cli-${randomUUID()}`;
  const facts = pointFacts(input);
  const asking = nodes.filter(({ node }) => !options.without.includes(node));
  const own = await keptOwn(options, facts.cluster, asking, caller, { progress: report.progress, signal });
  const plan = planClusterRestore(nodes, facts, {
    ...{ operation, ownCluster: own.cluster, quiesce: options.quiesce, withoutNodes: options.without },
    ...{ checkVersions: true, allowMismatch: options.allowVersionMismatch === true },
    ...{ hooks: false, hooksAllowed: false, confirm: { endpoints: [], dataDir: undefined } },
  });
  const encryption = encryptionLines(facts.backup.manifest.encryptionAtRest ?? [], own.secretsNow);
  tellPlan(report.progress, { ...plan, lines: [...plan.lines, ...encryption] }, nodes, own);
  const [problem] = plan.problems;
  if (problem !== undefined) throw problem;
  if (options.yes !== true) {
    report.progress.end();
    print(
      terminal,
      report.format,
      { ...planValue(plan, nodes, own), encryption },
      () => 'Nothing was done. To do it, add --yes.\n',
    );
    return;
  }

  // 2. It is written down in the store, and led to its end.
  await lead(session, options, caller, { operation, plan, input, own, keys }, report);
}

interface PlannedLead {
  readonly operation: string;
  readonly plan: ClusterPlan;
  readonly input: RestoreInput;
  readonly own: KeptOwn;
  readonly keys: RestoreOrder['stage']['keys'];
}

async function lead(
  session: Session,
  options: ClusterOptions,
  caller: NodeCaller,
  { operation, plan, input, own, keys }: PlannedLead,
  report: Reporting,
): Promise<void> {
  const { terminal } = session;
  const { signal } = terminal;
  const { backup, ...facts } = pointFacts(input);
  const { repository } = input.recording ?? { repository: undefined };
  if (repository === undefined) throw new Error('a restore of a cluster is always recorded');
  const by = `${userName()}@${hostname()}`;
  const store = await storeForAgents(storeSettings(options, terminal), terminal);
  const { token, bumpTo } = await recordRestore(repository, backup, plan, { operation, by }, signal);
  const order: RestoreOrder = {
    operation,
    stage: {
      ...{ store, keys, cluster: facts.cluster, token, bumpTo, quiesce: options.quiesce },
      point: { timeline: facts.timeline, chain: facts.chain, revision: facts.revision },
      subject: JSON.stringify({ by, label: facts.label }),
      ...own.objects,
      members: plan.participants.map(({ node, name, peerUrls, agentAddress }) => ({
        ...{ node, name, peerUrls, agentAddress },
      })),
    },
  };
  const places = plan.participants.map(({ node, agentAddress, clockSkewMs }) => ({
    ...{ node, address: agentAddress, clockSkewMs },
  }));
  using connected = connectNodes(places, caller);
  using telling = new RestoreTelling(session, report.progress, operation, plan);
  const outcome = await coordinateRestore(order, connected.participants, {
    holder: `cli/${by}`,
    isOurs: () => false,
    signal,
    onStep: (progress) => {
      telling.step(progress);
    },
  });
  report.progress.end();
  tellOutcome(session, report, { operation, own }, outcome);
}

function tellPlan(
  progress: ProgressLine,
  plan: ClusterPlan,
  nodes: readonly NodeFacts[],
  own: KeptOwn,
): void {
  progress.say('the plan:');
  for (const line of plan.lines) progress.say(`  ${line}`);
  for (const line of lossLines(plan, nodes)) progress.say(`  ${line}`);
  progress.say(`  ${own.line}`);
  if (plan.participants.length > 0)
    progress.say('  the old data is kept on each node, in .etcdguardian of its data dir');
  for (const { message, code, hint } of plan.problems)
    progress.say(
      `  in the way: ${message} [${code}]${hint === undefined ? '' : `\n    what to do: ${hint}`}`,
    );
}

/** What the cluster has that the restore point hasn't: it goes, so it is told, with the way to keep it. */
export function lossLines({ point, participants }: ClusterPlan, nodes: readonly NodeFacts[]): string[] {
  const taking = nodes.filter(({ node }) => participants.some((one) => one.node === node));
  const served = taking.flatMap(({ node, description }) =>
    description?.etcd === undefined || description.etcd.revision === 0n
      ? []
      : [{ node, revision: description.etcd.revision }],
  );
  const [newest] = served.sort((a, b) => (a.revision > b.revision ? -1 : 1));
  const lines =
    newest === undefined || newest.revision <= point.revision
      ? []
      : [
          `lost: ${count(newest.revision - point.revision)} revisions that ${newest.node} has behind the restore point (it is at ${count(newest.revision)}). To keep them: etcdguardian backup create --endpoints … there, first`,
        ];
  const silent = taking.filter(({ description }) => description?.etcd?.revision === 0n);
  if (silent.length > 0)
    lines.push(
      `not known: what ${silent.map(({ node }) => node).join(', ')} ${silent.length === 1 ? 'has' : 'have'} behind the restore point, as etcd doesn't answer there. To see it, and keep it: etcdguardian rescue --data-dir ${silent[0]?.description?.etcd?.dataDir ?? 'DIR'} --out FILE --store … on each, first; --etcd PROGRAM there brings in what only its log has`,
    );
  return lines;
}

function planValue(
  plan: ClusterPlan,
  nodes: readonly NodeFacts[],
  own: KeptOwn,
): Readonly<Record<string, unknown>> {
  const { point, participants, warnings, highWater, lines } = plan;
  return {
    point: { ...point, time: point.time?.toISOString() ?? null },
    ...{ participants, warnings, highWater, lines },
    losses: lossLines(plan, nodes),
    own: ownValue(own),
  };
}
