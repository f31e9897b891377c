import { counted, duration } from '../../output.ts';
import type { Installation } from '../installation.ts';
import type { KubeEvent, Pod } from '../installed-resources.ts';
import { fail, type Finding, ok, unknown, warn } from './finding.ts';

/** Who leads, whether replicas are ready, whether each node that should has an agent, and what was told of agents. */
export function judgeProcesses(installation: Installation, now: Date): Finding[] {
  return [
    judgeLeader(installation, now),
    ...judgePods(installation),
    judgeAgents(installation),
    ...judgeEvents(installation, now),
  ];
}

function judgeLeader({ lease, server, namespace }: Installation, now: Date): Finding {
  const check = 'leader';
  const logs = `kubectl -n ${namespace} logs deploy/etcdguardian-controlplane tells why.`;
  if (!('found' in lease)) return unknown(check, lease.problem);
  const spec = lease.found?.spec;
  if (spec === undefined || (spec.holderIdentity ?? '') === '')
    return fail(check, 'no replica of the control plane leads: nothing is backed up', logs);
  const { holderIdentity = '', renewTime = '', leaseDurationSeconds = 15 } = spec;
  const ahead = 'found' in server ? (server.found.clockAheadMs ?? 0) : 0;
  const silentMs = now.getTime() + ahead - Date.parse(renewTime);
  // Two durations: a machine under load is no dead one.
  if (Number.isNaN(silentMs) || silentMs > leaseDurationSeconds * 2_000)
    return fail(
      check,
      `${holderIdentity} led, and has not been heard of for ${duration(silentMs)}: nothing is backed up`,
      logs,
    );
  return ok(check, `${holderIdentity} leads`);
}

function judgePods({ pods, namespace }: Installation): Finding[] {
  if (!('found' in pods)) return [unknown('pods', pods.problem)];
  return ['controlplane', 'webhook'].flatMap((component) => {
    const own = pods.found.filter((pod) => componentOf(pod) === component);
    // Processes that someone runs by hand have no pods; the Lease tells of them.
    if (own.length === 0) return [];
    const unready = own.filter((pod) => !isReady(pod));
    if (unready.length === 0) return [ok(component, `${counted(own.length, 'pod')} ready`)];
    const names = unready.map((pod) => `${pod.metadata.name} (${troubleOf(pod)})`).join(', ');
    const hint = `kubectl -n ${namespace} describe pod, and logs, of it tell why.`;
    const text = `not ready: ${names}`;
    return [unready.length === own.length ? fail(component, text, hint) : warn(component, text, hint)];
  });
}

function judgeAgents({ agents, pods, namespace }: Installation): Finding {
  const check = 'agents';
  if (!('found' in pods)) return unknown(check, pods.problem);
  const own = pods.found.filter((pod) => componentOf(pod) === 'agent');
  const unready = own.filter((pod) => !isReady(pod));
  const names = unready.map((pod) => `${pod.spec?.nodeName ?? '?'} (${troubleOf(pod)})`).join(', ');
  const hint = `kubectl -n ${namespace} get pods -l app.kubernetes.io/component=agent -o wide, and their logs.`;
  const wanted = 'found' in agents ? agents.found?.status?.desiredNumberScheduled : undefined;
  if (own.length === 0)
    return fail(
      check,
      'there is none: only etcd by address can be backed up',
      'Is agent.enabled in the values, and do its nodeSelector and tolerations fit the nodes of etcd?',
    );
  if (unready.length > 0) return fail(check, `not ready: ${names}`, hint);
  if (wanted !== undefined && wanted > own.length)
    return fail(check, `${counted(wanted, 'node')} should have one, ${own.length} do`, hint);
  const nodes = own.map(({ spec }) => spec?.nodeName ?? '?').join(', ');
  return ok(check, `${counted(own.length, 'agent')} ready: ${nodes}`);
}

/** What the control plane said of agents lately, and did not say to be over since. */
function judgeEvents({ events }: Installation, now: Date): Finding[] {
  if (!('found' in events)) return [unknown('reports of agents', events.problem)];
  const latest = new Map<string, KubeEvent>();
  for (const event of events.found.toSorted((a, b) => timeOf(a) - timeOf(b))) {
    const kind = KINDS.find((reason) => event.reason === reason || event.reason === `${reason}Over`);
    const { name = '' } = event.regarding ?? {};
    if (kind !== undefined) latest.set(`${name} ${kind}`, event);
  }
  const bad = [...latest.values()].filter(
    (event) => event.type === 'Warning' && now.getTime() - timeOf(event) < RECENT_MS,
  );
  return bad.map(({ reason = '', note = '' }) =>
    reason === 'ClockSkew'
      ? warn('clock', note, 'Check NTP there: certificates and times of backups depend on it.')
      : fail(
          'agents',
          note,
          'Can the control plane reach that node on the port of agents (9640)? See the log of the agent.',
        ),
  );
}

const KINDS = ['ClockSkew', 'AgentUnreachable'];
/** As long as API servers keep events. */
const RECENT_MS = 3_600_000;

function timeOf({ series, eventTime, metadata }: KubeEvent): number {
  const time = series?.lastObservedTime ?? eventTime ?? metadata.creationTimestamp ?? '';
  return Date.parse(time) || 0;
}

export function componentOf({ metadata }: Pod): string | undefined {
  return metadata.labels?.['app.kubernetes.io/component'];
}

export function isReady({ status, metadata }: Pod): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  // Whoever has no kubelet (a test, a process by hand) writes no conditions.
  if (ready === undefined) return status?.phase === 'Running' && metadata.deletionTimestamp === undefined;
  return ready.status === 'True';
}

function troubleOf({ status, metadata }: Pod): string {
  if (metadata.deletionTimestamp !== undefined) return 'being deleted';
  const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined)?.state
    ?.waiting;
  const restarts = Math.max(
    0,
    ...(status?.containerStatuses ?? []).map(({ restartCount = 0 }) => restartCount),
  );
  const again = restarts > 0 ? `, ${counted(restarts, 'restart')}` : '';
  return `${waiting?.reason ?? status?.phase ?? 'unknown'}${again}`;
}
