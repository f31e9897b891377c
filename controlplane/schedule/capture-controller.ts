import type { CaptureState } from '../../lib/agent-api/task-messages.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { ETCD_BACKUP_RESOURCE } from '../../lib/kubernetes/api/etcd-backup.ts';
import { errorFields, errorText } from '../../lib/log-lines.ts';
import { storeNetwork } from '../../lib/kubernetes/rights/tenant-endpoints.ts';
import { sentKeys, sentStore } from '../backup/agent-run.ts';
import { type BackupWatch, backupWatch } from '../backup/backup-watch.ts';
import { judgeBackup } from '../backup/judge-backup.ts';
import { rightsSettings } from '../judge-asked.ts';
import type { Controller } from '../controller.ts';
import { readRunSecrets } from '../secrets/backup-secrets.ts';
import type { ControlPlaneTools } from '../tools.ts';
import { CaptureStatusWriter } from './capture-status.ts';
import { sourceOfBackup, sourceOfSchedule } from './schedule-source.ts';
import { type ScheduleWatch, scheduleWatch } from './schedule-watch.ts';
import { isCaptureOperation, nameOf, type WantedCapture, wantedCaptures } from './wanted-captures.ts';

/** All captures are looked at together: they have places and agents in common. */
const KEY = 'all';
const LOOK_MS = 15_000;
/** So often rights and Secrets are looked at anew; an agent that has what is sent goes on. */
const RENEW_MS = 600_000;
const CALL_MS = 30_000;

/** Where a capture is seen. */
interface Seen {
  readonly node: string;
  readonly state: CaptureState;
}

/** Keeps one capture running for each place that Incremental schedules store into, while they aren't suspended. */
export function captures(tools: ControlPlaneTools): Controller {
  let schedules: ScheduleWatch | undefined;
  let backups: BackupWatch | undefined;
  /** By operation, and by the monotonic clock. */
  const renewed = new Map<string, number>();
  const writer = new CaptureStatusWriter(tools);

  const start = async (
    { operation, owners: [owner] }: WantedCapture,
    seen: Seen | undefined,
    signal: AbortSignal,
  ): Promise<Seen | undefined> => {
    if (owner === undefined) return undefined;
    const { metadata, runSpec: spec } = owner;
    const { apiVersion, kind } = ETCD_BACKUP_RESOURCE;
    await judgeBackup({ apiVersion, kind, metadata, spec }, tools, signal);
    const { namespace = '' } = metadata;
    const secrets = await readRunSecrets(spec, { namespace, requester: spec.requestedBy }, tools, signal);
    const node = seen?.node ?? (await tools.agents.choose({}, signal)).agent.node;
    const network = storeNetwork(spec.storageLocation, rightsSettings(tools).tenantEndpoints);
    const request = {
      store: sentStore(spec.storageLocation, secrets, network),
      keys: sentKeys(secrets),
      cluster: tools.cluster,
    };
    const state = await tools.agents.withTerm(
      node,
      operation,
      (agent, fence) => agent.startCapture({ ...request, fence }, { signal, timeoutMs: CALL_MS }),
      signal,
    );
    renewed.set(operation, performance.now());
    if (seen?.state.running !== true)
      tools.log.write(
        'info',
        'capture-started',
        `${nameOf(owner)}: changes are captured by the agent of ${node}`,
        {
          ...{ operation, node },
        },
      );
    return { node, state };
  };

  /** Where it doesn't succeed, the next look finds it running still; other captures don't wait for that. */
  const stop = async (node: string, operation: string, why: string, signal: AbortSignal): Promise<void> => {
    try {
      await tools.agents.withTerm(
        node,
        operation,
        (agent, fence) => agent.stopCapture({ fence }, { signal, timeoutMs: CALL_MS }),
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      const text = `capture by the agent of ${node} can't be stopped yet (${why}): ${errorText(error)}`;
      tools.log.write('warning', 'capture-not-stopped', text, {
        ...{ operation, node },
        ...errorFields(error),
      });
      return;
    }
    renewed.delete(operation);
    tools.log.write('info', 'capture-stopped', `capture by the agent of ${node} was stopped: ${why}`, {
      ...{ operation, node },
    });
  };

  const keep = async (wanted: WantedCapture, all: readonly Seen[], signal: AbortSignal): Promise<void> => {
    const found = all.filter(({ state }) => state.operation === wanted.operation);
    const [best, ...others] = found.filter(({ state }) => state.running).sort(byStored);
    try {
      const age = performance.now() - (renewed.get(wanted.operation) ?? -Infinity);
      const now = best !== undefined && age < RENEW_MS ? best : await start(wanted, best, signal);
      for (const { node } of others) await stop(node, wanted.operation, 'another agent does it', signal);
      await writer.running(wanted, now, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof GuardianError && error.code === 'admission.forbidden')
        for (const { node, state } of found)
          if (state.running) await stop(node, wanted.operation, error.message, signal);
      tools.log.write('warning', 'capture-failed', `changes can't be captured: ${errorText(error)}`, {
        operation: wanted.operation,
        ...errorFields(error),
      });
      await writer.failed(wanted, error, signal);
    }
  };

  return {
    name: 'capture',
    workers: 1,
    async start(queue, signal) {
      schedules = scheduleWatch(tools, signal);
      backups = backupWatch(tools, signal);
      await Promise.all([schedules.synced, backups.synced]);
      schedules.listen(() => {
        queue.add(KEY);
      });
      const unlisten = tools.agents.onChange(() => {
        queue.add(KEY, 1_000);
      });
      signal.addEventListener('abort', unlisten, { once: true });
      queue.add(KEY);
    },
    async reconcile(_key, signal) {
      if (schedules === undefined || backups === undefined) return undefined;
      const recurring = backups.list().flatMap((backup) => sourceOfBackup(backup) ?? []);
      const wanted = wantedCaptures([...schedules.list().map(sourceOfSchedule), ...recurring], tools.cluster);
      const agents = tools.agents.list();
      if (wanted.length === 0 && agents.length === 0) return { afterMs: LOOK_MS };
      const known = await tools.agents.survey(LOOK_MS / 2, signal);
      const seen = known.flatMap(({ node, description, problem }) =>
        problem === undefined ? (description?.captures ?? []).map((state) => ({ node, state })) : [],
      );
      for (const one of wanted) await keep(one, seen, signal);
      const operations = new Set(wanted.map(({ operation }) => operation));
      for (const { node, state } of seen)
        if (state.running && isCaptureOperation(state.operation) && !operations.has(state.operation))
          await stop(node, state.operation, 'no schedule wants it any more', signal);
      return { afterMs: LOOK_MS };
    },
  };
}

function byStored(a: Seen, b: Seen): number {
  return a.state.storedRevision > b.state.storedRevision ? -1 : 1;
}
