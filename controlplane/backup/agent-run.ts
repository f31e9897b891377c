import { setTimeout as delay } from 'node:timers/promises';
import type { TakeBackupRequest, TaskUpdate } from '../../lib/agent-api/task-messages.ts';
import type { Sent } from '../../lib/agent-api/fields.ts';
import type { Keys, Store } from '../../lib/agent-api/request-parts.ts';
import { GuardianError, hasCode, reasonOf } from '../../lib/guardian-error.ts';
import type { StorageLocation } from '../../lib/kubernetes/api/etcd-backup-spec.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import type { RunSecrets } from '../secrets/backup-secrets.ts';
import type { BackupOutcome, BackupRun, BackupRunRequest, RunProgress } from './backup-run.ts';
import { isRetrying } from './backup-status.ts';
import { rightsSettings } from '../judge-asked.ts';
import { proofWanted } from './proof-wanted.ts';
import { reportedBackup } from './reported-backup.ts';

/**
 * Lets the agent beside etcd do it; joins what goes on there. An agent that was away for `patienceMs` while it worked is
 * given up, and another one may begin.
 */
export function agentRun(patienceMs = PATIENCE_MS): BackupRun {
  return async (run) => {
    const { signal, record } = run;
    const place = await chosenPlace(run);
    const { node } = place;
    signal.throwIfAborted();
    // Before anything is begun there: whoever takes over must find it, or it would be done twice.
    await record({ node });
    try {
      return await joined(place, run, patienceMs);
    } catch (error) {
      if (hasCode(signal.reason, 'controlplane.cancelled')) await cancel(node, run, signal.reason);
      throw error;
    }
  };
}

const CANCEL_MS = 10_000;
const PATIENCE_MS = 600_000;
const PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

interface Place {
  readonly node: string;
  /** It may go on there already. */
  readonly begun: boolean;
}

/** Where it was begun, if there is still an agent; else the best one, rather not where it failed before. */
async function chosenPlace({ backup, tools, signal, onProgress }: BackupRunRequest): Promise<Place> {
  const { node = '', attempts = 1 } = backup.status?.source ?? {};
  const failedThere = isRetrying(backup.status ?? {});
  const isKnown = tools.agents.list().some((agent) => agent.node === node);
  if (node !== '' && isKnown && !failedThere) return { node, begun: true };
  const say = (message: string): void => {
    onProgress({ step: 'Preparing', message, doneBytes: 0, totalBytes: 0 });
  };
  say('choosing an agent');
  const avoid = node !== '' && attempts > 1 ? [node] : [];
  const { etcdEndpoints = [] } = backup.spec;
  const wish = etcdEndpoints.length > 0 ? { avoid, endpoints: etcdEndpoints } : { avoid };
  const { agent, reason } = await tools.agents.choose(wish, signal);
  say(`the agent of ${agent.node} does it: ${reason}`);
  return { node: agent.node, begun: false };
}

async function cancel(node: string, run: BackupRunRequest, reason: GuardianError): Promise<void> {
  const { backup, operation, tools } = run;
  try {
    const soon = AbortSignal.timeout(CANCEL_MS);
    await tools.agents.withTerm(
      node,
      operation,
      (agent, fence) => agent.cancelTask({ fence, reason: reason.message }, { signal: soon }),
      soon,
    );
  } catch (error) {
    const { namespace = '', name } = backup.metadata;
    const text = `${namespace}/${name}: the agent of ${node} could not be told to stop: ${reasonOf(error)}`;
    tools.log.write('warning', 'backup-cancel', text, { operation });
  }
}

/** Until there is a result; a connection that breaks is made again, which joins the work. */
async function joined(
  { node, begun }: Place,
  run: BackupRunRequest,
  patienceMs: number,
): Promise<BackupOutcome> {
  const { operation, tools, signal } = run;
  const request = requestOf(run);
  let lastHeard = performance.now();
  let asked = begun;
  let told = NOTHING_YET;
  const onProgress = (progress: RunProgress): void => {
    told = progress;
    run.onProgress(progress);
  };
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const result = await tools.agents.withTerm(
        node,
        operation,
        async (agent, fence) => {
          for await (const update of agent.takeBackup({ ...request, fence }, { signal })) {
            lastHeard = performance.now();
            asked = true;
            pauseMs = PAUSE_MS;
            tell(update, onProgress);
            if (update.backup !== undefined) return update.backup;
          }
          throw new GuardianError('agent.connection-lost', `the agent of ${node} told no end of it`, {
            retryable: true,
          });
        },
        signal,
      );
      return reportedBackup(result, node);
    } catch (error) {
      signal.throwIfAborted();
      const busy = hasCode(error, 'agent.busy');
      // What was never asked there, for want of a connection, may be asked elsewhere at once.
      asked ||= !hasCode(error, 'agent.unreachable');
      const waits = isAway(error) && asked && performance.now() - lastHeard < patienceMs;
      if (!busy && !waits) throw error;
      const why = busy
        ? `the agent of ${node} is at another backup`
        : `the agent of ${node} is away: ${reasonOf(error)}`;
      tools.log.write('info', 'backup-waits', `${operation}: ${why}; trying again`, { operation, node });
      onProgress({ ...(busy ? NOTHING_YET : told), message: `waiting: ${why}` });
    }
    await delay(pauseMs * (0.5 + tools.random() / 2), undefined, { signal });
  }
}

const NOTHING_YET: RunProgress = { step: 'Preparing', message: '', doneBytes: 0, totalBytes: 0 };

function isAway(error: unknown): boolean {
  return error instanceof GuardianError && AWAY.has(error.code);
}

const AWAY: ReadonlySet<string> = new Set([
  'agent.connection-lost',
  'agent.unreachable',
  'agent.deadline',
  'agent.closed',
]);

const STEPS: Readonly<Record<string, 'Preparing' | 'Snapshotting' | 'Uploading' | 'ValidatingSnapshot'>> = {
  Preparing: 'Preparing',
  Snapshotting: 'Snapshotting',
  Uploading: 'Uploading',
  ValidatingSnapshot: 'ValidatingSnapshot',
};

function tell(
  { step, message, doneBytes, totalBytes }: TaskUpdate,
  onProgress: BackupRunRequest['onProgress'],
): void {
  const known = STEPS[step];
  if (known !== undefined) onProgress({ step: known, message, doneBytes, totalBytes });
}

function requestOf({ backup, secrets, labels, tools }: BackupRunRequest): Sent<TakeBackupRequest> {
  const { spec } = backup;
  const { requestedBy } = spec;
  const network = storeNetwork(spec.storageLocation, rightsSettings(tools).tenantEndpoints);
  return {
    mode: spec.backupMode === 'Full' ? 'FULL' : 'INCREMENTAL',
    store: sentStore(spec.storageLocation, secrets, network),
    keys: sentKeys(secrets),
    cluster: tools.cluster,
    proof: proofWanted(spec.validation),
    labels,
    requester: requestedBy && {
      username: requestedBy.username,
      uid: requestedBy.uid ?? '',
      groups: requestedBy.groups ?? [],
    },
  };
}

/** Keys as agents take them. */
export function sentKeys({ keys }: Pick<RunSecrets, 'keys'>): Sent<Keys> {
  return {
    encryption: new Uint8Array(keys.encryption),
    encryptionFrom: keys.encryptionFrom,
    signing: new Uint8Array(keys.signing),
  };
}

/** Where backups lie, with what opens it, as agents take it. */
export function sentStore(
  { provider, bucket, prefix = '', region = '', endpoint = '' }: StorageLocation,
  { store }: Pick<RunSecrets, 'store'>,
  network: { readonly publicOnly: boolean; readonly allowed: readonly string[] } | undefined,
): Sent<Store> {
  return {
    ...{ provider, bucket, prefix, region, endpoint },
    credentials: store.values,
    ca: store.ca ?? '',
    publicAddressesOnly: network?.publicOnly ?? false,
    allowedAddresses: network?.allowed ?? [],
  };
}
