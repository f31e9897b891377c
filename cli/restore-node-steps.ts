import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeByHand } from '../agent/restore/node-by-hand.ts';
import { GuardianError, hasCode } from '../lib/guardian-error.ts';
import type { JournalEntry } from '../lib/restore/cluster/journal.ts';
import { rescueSnapshot } from '../lib/restore/rescue/rescue-snapshot.ts';
import { count, fields, print } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import type { Reporting } from './report-options.ts';
import { tailText } from './rescue.ts';
import type { Session } from './session.ts';

export interface NodeToLead {
  readonly node: NodeByHand;
  /** At least staged. */
  readonly entry: JournalEntry;
  readonly rescue: boolean;
  /** How long etcd may take until it serves. */
  readonly waitMs: number;
}

/** Takes the steps of one node, from wherever it is, to its end, and tells it. What was done before isn't done again. */
export async function throughSteps(session: Session, lead: NodeToLead, report: Reporting): Promise<void> {
  const { terminal } = session;
  const { progress } = report;
  const { node, entry, waitMs } = lead;
  const steps = node.steps(entry.operation);
  session.doubt =
    'the restore of this node is under way: run the same command again to go on, or with --roll-back for the old data';
  progress.say('stopping the API server, then etcd');
  await node.allow(entry.operation, STOP_MS);
  const stopped = await steps.quiesce();
  if (lead.rescue && stopped.state === 'Quiesced') await rescueOld(session, node, stopped, progress);
  progress.say('the old data aside, the new in its place');
  await steps.swap();
  const others = entry.plan.members.filter(({ name }) => name !== entry.etcd.name).map(({ name }) => name);
  progress.say(
    others.length === 0
      ? 'starting etcd'
      : `starting etcd; it serves when more than half of the members run: run the same command on the nodes of ${others.join(', ')} now`,
  );
  await node.allow(entry.operation, waitMs);
  await untilStarted(() => steps.startEtcd(), waitMs, terminal.signal);
  await node.allow(entry.operation, VERIFY_MS);
  await steps.verify();
  progress.say('verified; the API server starts');
  await steps.commit();
  const done = await steps.resume();
  session.doubt = undefined;
  progress.end();
  const { previous } = node.dirsOf(done);
  const value = {
    ...{ operation: done.operation, state: done.state, members: done.plan.members },
    ...{
      revision: done.staged?.revision ?? null,
      hashKV: done.staged?.hashKv ?? null,
      previousDataDir: previous,
    },
  };
  print(terminal, report.format, value, () => doneText(done, previous));
}

const STOP_MS = 300_000;
const VERIFY_MS = 600_000;

/** The old data is kept in any case: what fails here is only told. */
async function rescueOld(
  { terminal }: Session,
  node: NodeByHand,
  entry: JournalEntry,
  progress: ProgressLine,
): Promise<void> {
  const { dataDir, walDir, previous } = node.dirsOf(entry);
  const out = join(previous, '..', 'rescued.db');
  if (existsSync(out)) return;
  try {
    const { verdict, behind, warnings } = await rescueSnapshot({ dataDir, walDir }, out, {
      signal: terminal.signal,
      onProgress: (what, done, total) => {
        progress.update({ label: `${what} the old data`, done, total });
      },
    });
    for (const warning of warnings) progress.say(`warning: ${warning}`);
    const log = behind === undefined ? '' : `; only in its log: ${tailText(behind)}`;
    progress.say(`rescued: revision ${count(verdict.currentRevision)} of the old data is in ${out}${log}`);
  } catch (error) {
    if (!(error instanceof GuardianError)) throw error;
    progress.say(`warning: no rescue snapshot of the old data, which is kept as it is: ${error.message}`);
  }
}

async function untilStarted(
  start: () => Promise<unknown>,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    try {
      await start();
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!hasCode(error, 'restore.not-serving') || performance.now() >= endMs) throw error;
    }
  }
}

function doneText({ operation, staged, plan, etcd }: JournalEntry, previous: string): string {
  const others = plan.members.filter(({ name }) => name !== etcd.name).map(({ name }) => name);
  return `restored: etcd of this node serves the restored data, and its API server starts.
${fields([
  ['revision', staged === undefined ? undefined : count(staged.revision)],
  ['HashKV', staged === undefined ? undefined : String(staged.hashKv)],
  ['old data', previous],
])}${others.length === 0 ? '' : `The same command on the nodes of ${others.join(', ')}, if it was not run there yet.\n`}When all is well, free the old data's room: etcdguardian restore node --clean-up (${operation})
`;
}
