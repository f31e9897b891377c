import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import { manifestLabels } from './backup-labels.ts';
import type { BackupOutcome, BackupRun, BackupRunRequest, RunProgress } from './backup-run.ts';
import { judgeBackup } from './judge-backup.ts';
import { type HookResult, runHooks } from './run-hooks.ts';

/** How backups are made; each for its kind of source. */
export interface BackupRuns {
  readonly agent: BackupRun;
  readonly inProcess: BackupRun;
  readonly namespaces: BackupRun;
}

export interface AttemptTools extends Pick<BackupRunRequest, 'tools' | 'signal' | 'onProgress' | 'record'> {
  readonly runs: BackupRuns;
  /** Aborts when leadership ends; `signal` when the backup is cancelled or deleted, too. */
  readonly leading: AbortSignal;
  /** Told once the requester was found to have the rights. */
  readonly onAdmitted: () => void;
}

export interface AttemptResult {
  readonly outcome: BackupOutcome;
  /** postBackup hooks that failed. */
  readonly failedHooks: readonly HookResult[];
}

/**
 * One attempt at an EtcdBackup, from its spec to a committed backup; safe to repeat at any point, in another process too.
 * Rejects with a `GuardianError` that says why there is none, and with the signal's reason.
 */
export async function attemptBackup(backup: EtcdBackup, attempt: AttemptTools): Promise<AttemptResult> {
  const { tools, signal, onProgress, record } = attempt;
  const { uid = '', namespace = '' } = backup.metadata;
  const tell = (step: RunProgress['step'], message: string): void => {
    onProgress({ step, message, doneBytes: 0, totalBytes: 0 });
  };

  // 1. May whoever asked have this, now?
  tell('Validating', 'checking the rights of whoever asked');
  const judgement = await judgeBackup(backup, tools, signal);
  attempt.onAdmitted();

  // 2. What does it need?
  tell('Preparing', 'reading Secrets');
  const { requestedBy: requester } = backup.spec;
  const secrets = await readRunSecrets(backup.spec, { namespace, requester }, tools, signal);

  // 3. Make it, between the hooks of both sides.
  const { preBackup = [], postBackup = [] } = backup.spec.hooks ?? {};
  const hooks = {
    backup,
    tools,
    signal,
    tell: (message: string) => {
      tell('Preparing', message);
    },
  };
  const request: BackupRunRequest = {
    ...{ backup, operation: uid, secrets, judgement, labels: manifestLabels(backup) },
    ...{ tools, signal, onProgress, record },
  };
  const make = async (): Promise<BackupOutcome> => {
    const [failed] = await runHooks(preBackup, 'preBackup', hooks);
    if (failed !== undefined) throw hookError(failed);
    const run = await runFor(backup, attempt.runs, attempt);
    return run(request);
  };
  const made = await settled(make());
  // Whoever leads next runs them, after what he joins. A backup that was cancelled may have stopped something before.
  attempt.leading.throwIfAborted();
  const ran = await settled(runHooks(postBackup, 'postBackup', { ...hooks, signal: attempt.leading }));
  signal.throwIfAborted();
  if ('error' in made) throw made.error;
  const failedHooks = 'error' in ran ? [notRun(ran.error)] : ran.value;
  return { outcome: made.value, failedHooks };
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };

async function settled<T>(promise: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}

function notRun(error: unknown): HookResult {
  return { name: 'postBackup', node: 'no node', message: reasonOf(error) };
}

/** By agents, also where the spec names an etcd that one is beside: what it reads needn't pass through here. */
async function runFor(
  { spec }: EtcdBackup,
  runs: BackupRuns,
  { tools, signal }: AttemptTools,
): Promise<BackupRun> {
  const { etcdEndpoints: endpoints = [] } = spec;
  if (!selectsAll(spec.namespaceSelector)) return runs.namespaces;
  if (endpoints.length === 0) return runs.agent;
  try {
    await tools.agents.choose({ endpoints }, signal);
    return runs.agent;
  } catch (error) {
    if (hasCode(error, 'controlplane.no-agent')) return runs.inProcess;
    throw error;
  }
}

function hookError({ name, node, message }: HookResult): GuardianError {
  return new GuardianError(
    'controlplane.hook-failed',
    `preBackup hook ${name} failed on ${node}: ${message}`,
    {
      hint: 'Correct the command, or leave the hook out; nothing was backed up.',
    },
  );
}
