import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import type { NodeByHand } from '../agent/restore/node-by-hand.ts';
import { judgeVersions, type VersionEdits } from '../lib/etcd/datadir/version-rules.ts';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';
import type { JournalEntry } from '../lib/restore/cluster/journal.ts';
import { adoptOwner, removeRestoreDirs } from '../lib/restore/cluster/swap-dirs.ts';
import { parseInitialCluster } from '../lib/restore/initial-cluster.ts';
import { restoreOffline } from '../lib/restore/offline-restore.ts';
import { lookAtMember, type MemberAtAGlance } from '../lib/restore/rescue/look-at-member.ts';
import { settleRestore } from '../lib/restore/settle-restore.ts';
import { count, counted } from './output.ts';
import type { ProgressLine } from './progress-line.ts';
import { fromBackup, fromFile, type RestoreInput } from './restore-input.ts';
import { tellRestoreStep } from './restore-progress.ts';
import { layOutAttachments } from './restore-node-attachments.ts';
import type { NodeOptions } from './restore-node-options.ts';
import type { Session } from './session.ts';
import { tailText } from './rescue.ts';
import { userName } from './user-name.ts';

export interface PlannedNode {
  readonly input: RestoreInput;
  readonly options: NodeOptions;
  readonly etcd: JournalEntry['etcd'];
  /** As `--initial-cluster` has it. */
  readonly initialCluster: string;
  readonly versionEdits: VersionEdits | undefined;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Looks at this node and at what is to be restored, and tells what would happen. Changes nothing but for attachments, with `--yes`. */
export async function planNode(
  session: Session,
  options: NodeOptions,
  node: NodeByHand,
  underWay: JournalEntry | undefined,
  progress: ProgressLine,
): Promise<PlannedNode> {
  const { terminal } = session;
  const joinRestore = options.joinRestore ?? restoreNumber(underWay);
  const input =
    options.snapshot === undefined
      ? await fromBackup(
          session,
          { ...options, record: true, ...(joinRestore === undefined ? {} : { joinRestore }) },
          progress,
        )
      : await fromFile(options.snapshot, options.allowMissingTrailer === true, terminal.signal, progress);
  if (options.withAttachments === true) await layOutAttachments(session, options, input, progress);
  // Nothing of what a crash left was ever stopped: it is begun anew.
  if (underWay !== undefined && options.yes === true)
    await node.steps(underWay.operation).rollBack(undefined);
  const { peerUrls, initialCluster: atFirst, ...found } = await node.find();
  const etcd = options.name === undefined ? found : { ...found, name: options.name };
  const old = await lookAtMember(etcd).catch((error: unknown) => reasonOf(error));
  const initialCluster = options.initialCluster ?? membersText(etcd.name, peerUrls, atFirst, old);
  const members = parseInitialCluster(initialCluster);
  const { versionEdits, warning } = versionsFor(options.etcdVersion, input);
  const lines = [
    `revision ${count(input.point.currentRevision)} from ${input.source.label}`,
    `member ${etcd.name} in ${etcd.dataDir}${etcd.walDir === '' ? '' : `, its log in ${etcd.walDir}`} (${etcd.runsFrom})`,
    `members of the restored cluster: ${initialCluster}`,
    options.quiesce
      ? `stops ${etcd.apiServers.join(', ') || 'no API server: none was found on this node'}, then etcd`
      : 'stops etcd, and no API server',
    ...oldLines(etcd.dataDir, old, input.point.currentRevision),
    ...(warning === undefined ? [] : [`warning: ${warning}`]),
    ...(members.length === 1
      ? []
      : [
          'the API servers of ALL nodes must be stopped until all members are restored: this stops the one here',
        ]),
    `the old data is kept in ${etcd.dataDir}/.etcdguardian`,
  ];
  progress.say('the plan:');
  for (const line of lines) progress.say(`  ${line}`);
  return {
    input,
    options,
    etcd,
    initialCluster,
    versionEdits,
    value: { lines, initialCluster, etcd: { ...etcd, tls: undefined } },
  };
}

const subjectSchema = z.object({ restore: z.number().optional() });

/** Of a run that crashed while it staged: its member was claimed in that record. */
function restoreNumber(entry: JournalEntry | undefined): string | undefined {
  if (entry === undefined) return undefined;
  try {
    return subjectSchema.safeParse(JSON.parse(entry.subject)).data?.restore?.toString();
  } catch {
    return undefined;
  }
}

/** What the old data knows; else what the manifest says, which kubeadm writes once, for the first node alone. */
function membersText(
  name: string,
  peerUrls: readonly string[],
  atFirst: string,
  old: MemberAtAGlance | string,
): string {
  const known = typeof old === 'string' ? [] : old.members.filter((member) => member.name !== '');
  if (known.some((member) => member.name === name))
    return known.flatMap((member) => member.peerURLs.map((url) => `${member.name}=${url}`)).join(',');
  if (atFirst !== '') return atFirst;
  if (peerUrls.length > 0) return peerUrls.map((url) => `${name}=${url}`).join(',');
  throw new GuardianError('restore.initial-cluster', 'which members the cluster has is not known here', {
    hint: 'Give all of them, the same on all nodes: --initial-cluster cp1=https://10.0.0.1:2380,cp2=…',
  });
}

/** What is newer on this disk goes, so it is told, with the way to keep it. */
function oldLines(dataDir: string, old: MemberAtAGlance | string, revision: bigint): string[] {
  if (typeof old === 'string')
    return [`what the old data has behind the restore point is not known, as it can't be read: ${old}`];
  const newer = old.revision - revision;
  const log =
    old.behind === undefined || old.behind.writes === 0 ? '' : `, and in its log ${tailText(old.behind)}`;
  if (newer <= 0n && log === '')
    return [`the old data is at revision ${count(old.revision)}: nothing in it is newer`];
  return [
    `the old data is at revision ${count(old.revision)}: ${newer > 0n ? `${counted(newer, 'revision')} NEWER than the restore point` : 'not newer'}${log}`,
    `  to restore that instead: etcdguardian rescue --data-dir ${dataDir} --out FILE --etcd PROGRAM --store … (etcd stopped; --etcd brings in the log), then restore that backup, or --snapshot FILE, on all nodes`,
  ];
}

function versionsFor(
  target: string | undefined,
  input: RestoreInput,
): { readonly versionEdits: VersionEdits | undefined; readonly warning: string | undefined } {
  if (target === undefined) return { versionEdits: undefined, warning: undefined };
  const { verdict, reason, edits } = judgeVersions(input.versions, target);
  if (verdict === 'refuse')
    throw new GuardianError('restore.version', reason, {
      hint: 'install the version of the backup, or choose another backup',
    });
  return { versionEdits: edits, warning: verdict === 'warn' ? reason : undefined };
}

/** Makes the member's data beside the present one; from here on the journal knows of it. */
export async function stageNode(
  session: Session,
  { input, options, etcd, initialCluster, versionEdits }: PlannedNode,
  node: NodeByHand,
  progress: ProgressLine,
): Promise<JournalEntry> {
  const { signal } = session.terminal;
  const now = session.clock().getTime();
  const operation = `node-${randomUUID()}`;
  const first: JournalEntry = {
    ...{ format: 1, operation, term: 0n, state: 'Staging', furthest: 'Staging', sinceMs: now, message: '' },
    ...{ subject: '{}', deadlineMs: now + DAY_MS, etcd },
    plan: {
      cluster: input.recording?.backup.cluster ?? '',
      timeline: input.recording?.backup.timeline ?? '',
      chain: input.recording?.backup.id ?? '',
      ...{
        revision: input.point.currentRevision,
        token: '',
        bumpTo: 0n,
        quiesce: options.quiesce,
        members: [],
      },
    },
  };
  const dirs = node.dirsOf(first);
  const request = {
    ...{ dataDir: dirs.staged, walDir: dirs.stagedWal, name: etcd.name, initialCluster },
    ...({ token: options.initialClusterToken, allMembers: false, bump: 'auto' } as const),
  };
  const { plan, joined, warnings } = await settleRestore(
    request,
    input.point,
    input.source.size,
    input.recording,
    signal,
  );
  for (const warning of warnings) progress.say(`warning: ${warning}`);
  const by = `${userName()}@${hostname()}`;
  const entry = await node.begin({
    ...first,
    subject: JSON.stringify({ by, label: input.source.label, restore: joined?.record.number }),
    plan: {
      ...first.plan,
      ...{ token: plan.token, bumpTo: plan.bumpTo ?? 0n },
      members: plan.members.map(({ name, peerUrls }) => ({
        ...{ node: name, name, peerUrls: [...peerUrls], agentAddress: '' },
      })),
    },
  });
  try {
    const restored = await restoreOffline(input.source, plan, {
      ...{ versionEdits, signal },
      onStep: (step) => {
        tellRestoreStep(progress, step);
      },
    });
    await adoptOwner(dirs);
    const [made] = restored.dirs;
    return await node.staged(entry, {
      ...{ hashKv: restored.hashKV, clusterId: restored.clusterId, memberId: made?.memberId ?? 0n },
      ...{ revision: restored.revision, keys: restored.verdict.totalKeys },
    });
  } catch (error) {
    await joined?.release({ signal: AbortSignal.timeout(RELEASE_MS) }).catch(() => undefined);
    await removeRestoreDirs(dirs).catch(() => undefined);
    await node.steps(operation).rollBack(undefined);
    throw error;
  }
}

const DAY_MS = 86_400_000;
const RELEASE_MS = 15_000;
