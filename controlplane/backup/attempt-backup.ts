import { GuardianError } from '../../lib/guardian-error.ts';
import { type EtcdBackup } from '../../lib/kubernetes/api/etcd-backup.ts';
import { selectsAll } from '../../lib/kubernetes/rights/required-rights.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import { type ControlPlaneTools } from '../tools.ts';
import { manifestLabels } from './backup-labels.ts';
import { type BackupOutcome, type BackupRun, type BackupRunRequest, type RunProgress } from './backup-run.ts';
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
  const failedHooks: HookResult[] = [];
  const request: BackupRunRequest = {
    ...{ backup, operation: uid, secrets, judgement, labels: manifestLabels(backup) },
    ...{ tools, signal, onProgress, record },
  };
  try {
    const [failed] = await runHooks(preBackup, 'preBackup', hooks);
    if (failed !== undefined) throw hookError(failed);
    const outcome = await runFor(backup, attempt.runs)(request);
    return { outcome, failedHooks };
  } finally {
    // Whoever leads next runs them, after what he joins.
    if (!signal.aborted) failedHooks.push(...(await runHooks(postBackup, 'postBackup', hooks)));
  }
}

/** By agents; `inProcess` where the spec names an etcd that may have none. */
function runFor({ spec }: EtcdBackup, runs: BackupRuns): BackupRun {
  if (!selectsAll(spec.namespaceSelector)) return runs.namespaces;
  return (spec.etcdEndpoints ?? []).length > 0 ? runs.inProcess : runs.agent;
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
